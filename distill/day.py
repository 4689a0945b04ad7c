"""The night's way to the gateway: its admin calls, over HTTP. Owns the wire; the gateway owns what the calls do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
from openai import AsyncOpenAI

from distill.errors import DistillError, Refused, Spent
from distill.trace import Draft, Trace
from router.chat import WHOLE, AnswerMessage, ChatRequest, ChatResponse, request_body

_AT_ONCE = 5000  # traces named in one call
_WARMTH = 0.7  # temperature of an answer that is asked for again: at 0 the teacher would only repeat itself
_ANSWER = 900.0  # seconds that an answer may take: a local teacher writes long ones for minutes
_NONE: Mapping[str, str] = {}
_REFUSALS = frozenset({400, 403, 413, 422})  # it is about what was asked; any other error is about who was


class DayError(DistillError):
    """The gateway refused a call of the night, or is not there."""


class DayConflict(DayError):
    """The gateway is there, and what it is asked cannot be done now."""


class DayRefused(DayError, Refused):
    """The gateway is there, and does not answer this request."""


class DaySpent(DayRefused, Spent):
    """The night's tokens of the teacher are used up: nobody was asked."""


def serves(status: dict[str, Any]) -> str:
    """The adapter that serves, by what `Day.status` told; "" for the base."""
    return str((status.get("live") or {}).get("adapter") or "")


class Day:
    """A running gateway. `url` without /v1; the admin key is read from the data folder. `spent` are the tokens, read
    and written, of the answers that `again`, `instead` and `answer` gave."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._url = url
        self.allow(0)
        self._admin_key = admin_key
        self._http = httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {admin_key}"}, timeout=120.0, trust_env=False
        )

    @classmethod
    def of_home(cls, url: str, data: Path) -> Day:
        """Raises DayError when the gateway never ran on this home."""
        try:
            return cls(url, (data / "admin.key").read_text().strip())
        except OSError as error:
            raise DayError(f"there is no admin key in {data}: start the gateway first") from error

    def client(self) -> AsyncOpenAI:
        """Models behind the gateway, asked without leaving traces."""
        return AsyncOpenAI(
            base_url=f"{self._url}/v1",
            api_key=self._admin_key,
            max_retries=2,
            timeout=300.0,
            default_headers={"x-nightschool-no-trace": "1"},
        )

    def allow(self, tokens: int, spent: int = 0, told: Callable[[int], None] = lambda spent: None) -> None:
        """Ask for no more answers once they took so many tokens, 0: never mind, of which some are `spent` already;
        `told` is called with what is spent after each."""
        self._allowed, self.spent, self._told = tokens, spent, told

    async def again(self, trace: Trace, number: int) -> AnswerMessage:
        """Another answer of the teacher to a trace's request: whole, and not empty. Raises DayError, and DayRefused
        where another request may be answered all the same."""
        request = msgspec.structs.replace(_plain(trace), model="teacher", temperature=_WARMTH, seed=number + 1)
        return await self.answer(request, not trace.may_leave_machine)

    async def draft(self, trace: Trace, student: str) -> Draft:
        """What a student says to a trace's request, with the request's own sampling, cut off or empty as it may be.
        Raises DayError, and DayRefused where another request may be answered all the same."""
        request = msgspec.structs.replace(_plain(trace), model=student, logprobs=True)
        began = time.monotonic()
        answered = await self._asked(request, not trace.may_leave_machine)
        choice, note = answered.choices[0], answered.nightschool
        said = choice.logprobs.content if choice.logprobs else None
        return Draft(choice.message, choice.finish_reason, said, note, round(time.monotonic() - began, 3))

    async def instead(self, trace: Trace) -> AnswerMessage:
        """What the teacher says to a request that a student answered, with the request's own sampling. Raises DayError,
        and DayRefused where another request may be answered all the same."""
        request = msgspec.structs.replace(_plain(trace), model="teacher")
        return await self.answer(request, not trace.may_leave_machine)

    async def answer(self, request: ChatRequest, stays: bool) -> AnswerMessage:
        """An answer of whoever the request names, without a trace; `stays`: of nobody on another machine. Raises
        DayError, and DayRefused for an answer that is cut off or says nothing."""
        if self._allowed and self.spent >= self._allowed:
            raise DaySpent(f"a night may take {self._allowed} tokens of its teacher (night.teacher_tokens), and did")
        answered = await self._asked(request, stays)
        if answered.usage is not None:
            self.spent += answered.usage.prompt_tokens + answered.usage.completion_tokens
            self._told(self.spent)
        choice = answered.choices[0]
        if choice.finish_reason not in WHOLE:
            raise DayRefused(f"{request.model}'s answer was cut off ({choice.finish_reason})")
        if not (choice.message.tool_calls or (choice.message.content or "").strip()):
            raise DayRefused(f"{request.model} said nothing")
        return choice.message

    async def _asked(self, request: ChatRequest, stays: bool) -> ChatResponse:
        headers = {"x-nightschool-no-trace": "1"}
        if stays:
            headers["x-nightschool-stay-here"] = "1"
        answer = await self._send("POST", "/v1/chat/completions", request_body(request), headers, _ANSWER)
        try:
            response = msgspec.json.decode(answer, type=ChatResponse)
            if not response.choices:
                raise DayError(f"{request.model}'s answer holds no choice")
            return response
        except msgspec.MsgspecError as error:
            raise DayError(f"{request.model}'s answer makes no sense: {error}") from error

    async def status(self) -> dict[str, Any]:
        return await self._call("GET", "/admin/status")

    async def lease(self, size: int, seconds: float) -> str:
        """Borrow memory in bytes; the id of the lease."""
        return str((await self._call("POST", "/admin/lease", {"bytes": size, "seconds": seconds}))["id"])

    async def renew(self, lease: str) -> int:
        """How many requests were turned away so far since memory was lent, to anybody."""
        return int((await self._call("POST", f"/admin/lease/{lease}", {})).get("refused", 0))

    async def give_back(self, lease: str) -> None:
        await self._call("DELETE", f"/admin/lease/{lease}")

    async def forget(self, traces: Sequence[str]) -> list[str]:
        """Have traces forgotten, and those that go on from them; the ids of all that are gone."""
        gone: list[str] = []
        for at in range(0, len(traces), _AT_ONCE):
            gone += (await self._call("POST", "/admin/forget", {"traces": traces[at : at + _AT_ONCE]}))["traces"]
        return gone

    async def add_adapter(self, name: str, path: Path) -> None:
        """Make a candidate addressable as a model name."""
        await self._call("POST", "/admin/adapters", {"name": name, "path": str(path)})

    async def remove_adapter(self, name: str) -> None:
        await self._call("DELETE", f"/admin/adapters/{quote(name, safe='')}")

    async def propose(self, adapter: str, path: Path, verdict: dict[str, Any]) -> dict[str, Any]:
        """Propose an adapter; the gateway tells the live pointer, and the canary, if it begins with one. Raises
        DayConflict where another canary runs, or this adapter was rolled back lately."""
        return await self._call("POST", "/admin/proposals", {"adapter": adapter, "path": str(path), "verdict": verdict})

    async def roll_back(self, adapter: str, *, force: bool) -> dict[str, Any]:
        """Back to what served before, or to the adapter that is named; what serves then. Raises DayConflict where
        something is pinned, or there is nothing before, or `force` is wanted."""
        return await self._call("POST", "/admin/rollback", {"adapter": adapter, "force": force})

    async def pin(self, adapter: str) -> dict[str, Any]:
        """Let an adapter serve and nothing replace it. Raises DayConflict."""
        return await self._call("POST", "/admin/pin", {"adapter": adapter})

    async def unpin(self) -> dict[str, Any]:
        """Let others replace it again. Raises DayConflict where nothing is pinned."""
        return await self._call("DELETE", "/admin/pin")

    async def experiments(self) -> dict[str, Any]:
        """All experiments there were, canaries too."""
        return await self._call("GET", "/admin/experiments")

    async def start_experiment(self, experiment: dict[str, Any]) -> None:
        await self._call("POST", "/admin/experiments", experiment)

    async def stop_experiment(self, name: str) -> None:
        await self._call("DELETE", f"/admin/experiments/{quote(name, safe='')}")

    async def teach_router(self, learning: dict[str, Any]) -> dict[str, Any]:
        """Put to work what was learnt for the router; what the gateway says of it then."""
        return await self._call("POST", "/admin/router", learning)

    async def __aenter__(self) -> Day:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(await self._send(method, path, body))
        return decoded

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        headers: Mapping[str, str] = _NONE,
        seconds: float = 120.0,
    ) -> bytes:
        try:
            answer = await self._http.request(method, path, json=body, headers=dict(headers), timeout=seconds)
        except httpx2.HTTPError as error:
            raise DayError(f"the gateway at {self._url} does not answer: {error or type(error).__name__}") from error
        if answer.is_error:
            refused = DayRefused if answer.status_code in _REFUSALS else DayError
            if answer.status_code == 409:
                raise DayConflict(_said(answer.content))  # a sentence for whoever asked
            raise refused(f"{method} {path}: {answer.status_code} {_said(answer.content)}")
        return bytes(answer.content)


class _Error(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Error


def _said(answer: bytes) -> str:
    """The sentence of a refusal; of what is none of the gateway's, how it begins."""
    try:
        return msgspec.json.decode(answer, type=_Refusal).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer[:300].decode("utf-8", "replace")


def _plain(trace: Trace) -> ChatRequest:
    """A trace's request as it is made once more: for one answer, not streamed."""
    return msgspec.structs.replace(
        trace.request,
        n=None,
        logprobs=None,
        top_logprobs=None,
        stream=None,
        stream_options=None,
        metadata=None,  # of an import it is ours: what its file told of folder and commit; and endpoints refuse it
        tools=trace.request.tools or None,
    )
