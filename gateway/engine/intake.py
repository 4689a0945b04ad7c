"""A chat request into jobs: checked, rendered, with everything that says how its tokens are chosen.

Owns the meaning of every request field here, and which are ignored. Knows nothing of sockets, of the answer's form,
nor of how tokens are made.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

import msgspec

from distill.errors import ModelError
from distill.render import Renderer
from gateway.engine.doubt import Doubt
from gateway.engine.errors import ContextExceeded, NotSupported
from gateway.engine.inference.job import Constraint, Job, Sampling
from gateway.engine.reading import Reader
from gateway.engine.served import ServedModel
from gateway.engine.text import TextStream
from gateway.engine.toolcalls.families import Family, family_of
from gateway.engine.turn import Candidate, Turn
from router.chat import ChatRequest, InvalidRequest, Message, Tool

_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_HEADER_SAFE = re.compile(r"[\w.\-]{1,64}", re.ASCII)
_MOST_CHOICES = 128
_MOST_STOPS = 4
_MOST_NAMED = 32  # ignored parameters in a header
_MOST_TOP_LOGPROBS = 20
_SPREAD = 0x9E3779B97F4A7C15  # odd: seeds next to each other, times choices next to each other, all differ
_PROBE = "\ue000"  # what no message begins with
_PROMPT_TAIL = 16  # tokens in which a template opens the model's thoughts


class _Told(msgspec.Struct):
    """What the gateway says besides. `floor`: a call breaks off at a token less probable than that, with the finish
    reason `doubtful`; 0: none does."""

    conversation: str = ""
    private: bool = False
    floor: float = 0.0


class _Extra(msgspec.Struct):
    """What is understood beyond the fields of a ChatRequest."""

    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    logit_bias: dict[int, float] | None = None
    return_token_ids: bool | None = None
    nightschool: _Told | None = None


@dataclass(frozen=True)
class _Rendered:
    prompt: list[int]
    shared: int
    constraints: list[Constraint | None]  # one for each choice


async def prepare(served: ServedModel, request: ChatRequest, *, conversation: str = "", private: bool = False) -> Turn:
    """Check and render a request. Raises what the error table maps; nothing is generated yet.

    `conversation` is the client's name for it; without one it is known by how it begins. `private`: nothing of it may
    be written to disk.
    """
    adapter = served.adapter(request.model)
    extra = _extra(request)
    told = extra.nightschool or _Told()
    _check(request, extra)
    sampling = _sampling(served, request, extra)
    rendered = await asyncio.to_thread(_render, served, request)
    room = served.context - len(rendered.prompt)
    if room < 1:
        raise ContextExceeded(
            f"This model's maximum context length is {served.context} tokens. However, your messages resulted in "
            f"{len(rendered.prompt)} tokens. Please reduce the length of the messages.",
            param="messages",
        )
    served.check_window(rendered.shared)
    jobs = [
        Job(
            rendered.prompt,
            min(request.completion_limit or room, room),
            replace(sampling, seed=(sampling.seed + index * _SPREAD) % 2**63),
            adapter=adapter,
            constraint=constraint,
            top_logprobs=request.top_logprobs or 0,
            conversation=conversation or told.conversation or _conversation(request.messages),
            shared=rendered.shared,
            private=private or told.private,
        )
        for index, constraint in enumerate(rendered.constraints)
    ]
    candidates = _candidates(served, request, jobs, told.floor)
    return Turn(served, request, candidates, wants_ids=bool(extra.return_token_ids), ignored=ignored(request))


async def prompt_of(served: ServedModel, request: ChatRequest) -> list[int]:
    """The token ids of a request's prompt. Raises what `prepare` raises for its messages."""
    _check_messages(request)
    return await asyncio.to_thread(served.renderer.prompt, request.messages, _tools(request))


def ignored(request: ChatRequest) -> list[str]:
    """The names of the parameters that have no effect here, as far as a header can carry them."""
    unknown = [name for name in request.extra if name not in _Extra.__struct_fields__]
    return [name for name in unknown if _HEADER_SAFE.fullmatch(name)][:_MOST_NAMED]


def _candidates(served: ServedModel, request: ChatRequest, jobs: list[Job], floor: float) -> list[Candidate]:
    """A place for each choice to grow in, with the reader that suits the model and the request."""
    family = family_of(served.folder)
    renderer = served.renderer
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    tools = _tools(request)
    plain = (request.response_format or {}).get("type", "text") == "text"
    thinking = _thinks(family, renderer.decode(jobs[0].prompt[-_PROMPT_TAIL:]))
    form = family.form(tools, loose=plain) if tools else None
    names = [tool.function.name for tool in tools or ()]
    return [
        Candidate(
            job,
            TextStream(renderer.decode, renderer.eos_ids, stops),
            Reader(form, family.thoughts, thinking=thinking),
            one_call=request.parallel_tool_calls is False,
            doubt=Doubt(floor, names) if names and floor > 0 else None,
        )
        for job in jobs
    ]


def _thinks(family: Family, prompt_end: str) -> bool:
    """Whether the template has begun the model's thoughts for it."""
    return family.thoughts is not None and prompt_end.rstrip().endswith(family.thoughts[0])


def _render(served: ServedModel, request: ChatRequest) -> _Rendered:
    """The part that takes time: the template, the tokenizer, the grammar."""
    tools = _tools(request)
    prompt = served.renderer.prompt(request.messages, tools)
    shared = _shared(served.renderer, prompt, request.messages, tools)
    grammar = served.grammars.constraint(request)
    return _Rendered(prompt, shared, [grammar.copy() if grammar else None for _ in range(request.n or 1)])


def _tools(request: ChatRequest) -> list[Tool] | None:
    """The tools that the model hears of."""
    return request.tools if request.tools and request.tool_choice != "none" else None


def _shared(renderer: Renderer, prompt: list[int], messages: list[Message], tools: list[Tool] | None) -> int:
    """How many tokens at the beginning are system prompt and tools: as far as another first question leaves them."""
    system = list(takewhile(lambda message: message.role in ("system", "developer"), messages))
    other = _opening(renderer, msgspec.json.encode((system, tools)))
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, other, strict=False)))


@lru_cache(maxsize=64)
def _opening(renderer: Renderer, system_and_tools: bytes) -> tuple[int, ...]:
    """The prompt of a conversation that begins so and asks something nobody asks; empty if the template cannot."""
    system, tools = msgspec.json.decode(system_and_tools, type=tuple[list[Message], list[Tool] | None])
    try:
        return tuple(renderer.prompt([*system, Message("user", _PROBE)], tools))
    except ModelError:
        return ()


def _conversation(messages: list[Message]) -> str:
    """A conversation's name, by its first question and what is before it."""
    asked = next((i for i, message in enumerate(messages) if message.role == "user"), len(messages) - 1)
    return hashlib.sha256(msgspec.json.encode(messages[: asked + 1])).hexdigest()[:32]


def _extra(request: ChatRequest) -> _Extra:
    known = {name: request.extra[name] for name in _Extra.__struct_fields__ if name in request.extra}
    try:
        return msgspec.convert(known, _Extra, str_keys=True)
    except msgspec.ValidationError as error:
        name = re.search(r"`\$\.(\w+)", str(error))
        raise InvalidRequest(f"Invalid request: {error}", name[1] if name else None) from error


def _sampling(served: ServedModel, request: ChatRequest, extra: _Extra) -> Sampling:
    defaults = served.defaults
    return Sampling(
        temperature=defaults.temperature if request.temperature is None else request.temperature,
        top_p=defaults.top_p if request.top_p is None else request.top_p,
        top_k=max(extra.top_k or 0, 0),  # -1 is vLLM's other way to say: all
        min_p=extra.min_p or 0.0,
        presence_penalty=extra.presence_penalty or 0.0,
        frequency_penalty=extra.frequency_penalty or 0.0,
        repetition_penalty=extra.repetition_penalty or 1.0,
        logit_bias=_bias(served, extra.logit_bias or {}),
        seed=secrets.randbits(63) if request.seed is None else request.seed % 2**63,
    )


def _bias(served: ServedModel, asked: dict[int, float]) -> dict[int, float]:
    config = served.info.config
    size = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size") or 0
    for token in asked:
        if not 0 <= token < size:
            raise InvalidRequest(f"'logit_bias': {token} is not a token of this model (0 to {size - 1}).", "logit_bias")
    return asked


def _check(request: ChatRequest, extra: _Extra) -> None:
    """Refuse what this engine cannot honour, so that nobody is served less than was asked for."""
    _check_range("n", request.n, 1, _MOST_CHOICES)
    _check_range("top_logprobs", request.top_logprobs, 0, _MOST_TOP_LOGPROBS)
    _check_range("presence_penalty", extra.presence_penalty, -2, 2)
    _check_range("frequency_penalty", extra.frequency_penalty, -2, 2)
    _check_range("repetition_penalty", extra.repetition_penalty, 0.01, 10)
    _check_range("top_k", extra.top_k, -1, 2**31)
    _check_range("min_p", extra.min_p, 0, 1)
    _check_range("nightschool.floor", extra.nightschool.floor if extra.nightschool else None, 0, 1)
    for bias in (extra.logit_bias or {}).values():
        _check_range("logit_bias", bias, -100, 100)
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs")
    if isinstance(request.stop, list) and len(request.stop) > _MOST_STOPS:
        raise InvalidRequest(f"'stop' holds at most {_MOST_STOPS} strings.", "stop")
    _check_messages(request)


def _check_range(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidRequest(f"'{name}' must be between {least} and {most}.", name)


def _check_messages(request: ChatRequest) -> None:
    for index, message in enumerate(request.messages):
        _check_parts(message, f"messages[{index}].content")


def _check_parts(message: Message, where: str) -> None:
    parts = message.content if isinstance(message.content, list) else []
    for part in parts:
        field = _TEXT_PARTS.get(part.get("type", "text"))
        if field is None:
            raise NotSupported("This model reads text only.", param=where)
        if not isinstance(part.get(field), str):
            raise InvalidRequest(f"A part of type {part.get('type', 'text')!r} needs its '{field}'.", where)
