"""One lean client to any OpenAI-compatible endpoint, over TCP or a Unix socket.

Owns connections, time-outs and what a backend can do; retries are patience's. Knows nothing of arms, drafts or traces.
The client's own headers never come here: a backend is sent its own key or none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.backends.patience import Manners, Patience
from gateway.backends.stream import Event, Splitter
from gateway.errors import BackendBroken, BackendError, BackendRefused, BackendTimeout, BackendUnreachable
from gateway.sections import LOOPBACK

_BODY_LIMIT = 64 * 1024 * 1024


class Address(msgspec.Struct, frozen=True):
    """Where a backend listens: `url` up to and including /v1, and the Unix socket that leads there, if any."""

    url: str
    socket: str = ""

    @property
    def remote(self) -> bool:
        """Whether that is another machine, as far as the address tells: a program here may pass things on."""
        return not self.socket and urlsplit(self.url).hostname not in LOOPBACK


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds: to connect, to the first byte of an answer, and between two bytes of it."""

    connect: float = 5.0
    first_byte: float = 120.0
    silence: float = 60.0


class Capabilities(msgspec.Struct, frozen=True):
    """What an endpoint was found to do beyond plain chat completions."""

    token_ids: bool = False
    logprobs: bool = False
    stream_logprobs: bool = False
    adapters: bool = False
    grammar: bool = False
    tokenize: bool = False
    context: int = 0  # tokens; 0: it does not say


class Backend:
    """A client to one endpoint. `open` and `close` belong to the process's start and stop."""

    def __init__(self, address: Address, timeouts: Timeouts, manners: Manners, *, key: str = "") -> None:
        self.address = address
        self.patience = Patience(manners)
        self._timeouts = timeouts
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._url = address.url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self.in_flight = 0

    async def open(self) -> None:
        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(path=self.address.socket, limit=0)
            if self.address.socket
            else aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
            skip_auto_headers={"user-agent"},
            trust_env=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def complete(self, body: bytes) -> bytes:
        """The whole answer of a chat completion, as the backend sent it. Raises BackendError."""
        return await self._answered("/chat/completions", body)

    async def embed(self, body: bytes) -> bytes:
        """The answer to a request for embeddings, as the backend sent it. Raises BackendError."""
        return await self._answered("/embeddings", body)

    async def _answered(self, path: str, body: bytes) -> bytes:
        async def attempt() -> bytes:
            async with self._post(path, body) as response:
                answer = await self._whole(response)
            if not answer.lstrip().startswith(b"{"):
                raise BackendBroken("The model's answer is not a JSON object.")
            return answer

        async with self.patience.slot():
            return await self.patience.persist(attempt)

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[AsyncIterator[list[Event]]]:
        """The events of a streamed chat completion, in the batches they arrive in; the last one is [DONE].

        Entering waits for the first events, and is retried. Raises BackendError, also while iterating: a stream that
        ends without [DONE] is BackendBroken.
        """
        async with contextlib.AsyncExitStack() as stack:

            async def attempt() -> tuple[list[Event], AsyncGenerator[list[Event], None]]:
                async with contextlib.AsyncExitStack() as trial:
                    response = await trial.enter_async_context(self._post("/chat/completions", body))
                    batches = self._events(response)
                    trial.push_async_callback(batches.aclose)
                    first = await anext(batches)
                    stack.push_async_exit(trial.pop_all())
                    return first, batches

            await stack.enter_async_context(self.patience.slot())
            first, rest = await self.patience.persist(attempt)
            yield self._chain(first, rest)

    async def call(self, method: str, path: str, payload: Any = None, *, seconds: float = 30.0) -> bytes:
        """Any other call of the endpoint; `path` is taken below /v1. Raises BackendError."""
        body = b"" if payload is None else msgspec.json.encode(payload)
        async with self._send(method, path, body, seconds) as response:
            return await self._whole(response)

    async def peak_memory(self) -> int:
        """Bytes the endpoint's process has taken at most; only our own servers tell. Raises BackendError."""
        try:
            return int(msgspec.json.decode(await self.call("GET", "/../health", seconds=5.0))["peak_memory_bytes"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise BackendBroken("The model's server does not tell its memory.") from error

    async def models(self) -> list[dict[str, Any]]:
        """The endpoint's list of models. Raises BackendError."""
        try:
            listed = msgspec.json.decode(await self.call("GET", "/models", seconds=10.0))
            return [entry for entry in listed["data"] if isinstance(entry, dict)]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise BackendBroken("The model's server does not list its models.") from error

    async def probe(self, model: str) -> Capabilities:
        """What the endpoint can do, found out by asking it for one token. Raises BackendError when it is not there."""
        listed = await self.models()
        context = next((int(e[k]) for e in listed for k in ("max_model_len", "context_length") if e.get(k)), 0)
        question = {
            "model": model,
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 1,
            "logprobs": True,
            "return_token_ids": True,
        }
        try:
            answer = msgspec.json.decode(await self.complete(msgspec.json.encode(question)))
            choice = answer["choices"][0]
        except (BackendRefused, msgspec.DecodeError, LookupError, TypeError):
            return Capabilities(context=context)
        own = "nightschool" in answer
        logprobs = bool((choice.get("logprobs") or {}).get("content"))
        return Capabilities(
            token_ids=choice.get("token_ids") is not None,
            logprobs=logprobs,
            stream_logprobs=logprobs and own,
            grammar=own,
            tokenize=own,
            adapters=own or any(entry.get("owned_by") == "vllm" for entry in listed),
            context=context,
        )

    def _post(self, path: str, body: bytes) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._send("POST", path, body, self._timeouts.first_byte)

    @asynccontextmanager
    async def _send(self, method: str, path: str, body: bytes, seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response whose status is 200. `seconds` is the time to its head."""
        self.in_flight += 1  # from here on: an engine that is still reading the prompt is not idle
        try:
            response = await self._head(method, path, body, seconds)
            try:
                if response.status != 200:
                    raise await self._refusal(response)
                yield response
            finally:
                response.close() if not response.content.at_eof() else response.release()
        finally:
            self.in_flight -= 1

    async def _head(self, method: str, path: str, body: bytes, seconds: float) -> aiohttp.ClientResponse:
        if self._session is None:
            raise BackendUnreachable("The model's client is not open.")
        try:
            async with asyncio.timeout(seconds):
                return await self._session.request(method, self._url + path, data=body or None, allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise BackendUnreachable(f"The model cannot be reached at {self._url}.") from error
        except TimeoutError as error:
            raise BackendTimeout(f"The model did not answer within {seconds:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BackendBroken(f"The model's server broke the connection: {error}") from error

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size, seconds = 0, self._timeouts.first_byte
        while part := await self._read(response, seconds):
            parts.append(part)
            size, seconds = size + len(part), self._timeouts.silence
            if size > _BODY_LIMIT:
                raise BackendBroken("The model's answer is too large.")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[list[Event], None]:
        splitter, seconds = Splitter(), self._timeouts.first_byte
        while data := await self._read(response, seconds):
            events = splitter.feed(data)
            if not events:
                continue
            seconds = self._timeouts.silence
            yield events
            if events[-1].chunk is None:
                return
        raise BackendBroken("The model's answer was cut off.")

    async def _chain(self, first: list[Event], rest: AsyncIterator[list[Event]]) -> AsyncIterator[list[Event]]:
        yield first
        try:
            async for batch in rest:
                yield batch
        except BackendError:
            self.patience.broke_off()
            raise

    async def _read(self, response: aiohttp.ClientResponse, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await response.content.readany()
        except TimeoutError as error:
            raise BackendTimeout(f"The model fell silent for {seconds:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BackendBroken(f"The model's answer was cut off: {error}") from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> BackendRefused:
        body = b""
        with contextlib.suppress(BackendError):
            body = (await self._whole(response))[:20_000]
        message, code = _what_it_said(body)
        return BackendRefused(response.status, message, code, _retry_after(response.headers.get("retry-after", "")))


def _what_it_said(body: bytes) -> tuple[str, str | None]:
    """Message and code of an error body; of one that is not JSON (an HTML page of a proxy) only that it was not."""
    try:
        error = msgspec.json.decode(body)
        error = error.get("error", error)
        if isinstance(error, str):
            return error, None
        code = error.get("code")
        return str(error.get("message") or error.get("detail") or error)[:2000], code if isinstance(code, str) else None
    except (msgspec.DecodeError, AttributeError, UnicodeDecodeError):
        return "it gave no reason", None


def _retry_after(value: str) -> float | None:
    try:
        return max(0.0, float(value))
    except ValueError:
        return None
