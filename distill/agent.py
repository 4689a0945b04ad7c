"""The exploring agent: a question, three read-only tools, and any OpenAI-compatible endpoint.

Owns the loop and what it observed; failures of the endpoint are values in the result, so that an examination over
many questions goes on. Knows nothing of who answers behind the endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from openai import APIError, APIStatusError, APITimeoutError, AsyncOpenAI, OpenAIError

from distill.tools import Toolbox
from router.chat import AnswerMessage, ChatResponse, FunctionCall, Message

SYSTEM = "Answer questions about the code in the current directory; use the tools when you need them."

TIMEOUT, UNREACHABLE, NONSENSE = "timeout", "unreachable", "nonsense"  # codes of faults that no endpoint names

End = Literal["answered", "repeated", "too_many_calls", "empty", "cut", "error"]


class Turn(msgspec.Struct, frozen=True):
    """One request: who answered it and why, as the gateway's headers said ('' from other endpoints)."""

    served_by: str
    reason: str
    trace: str
    seconds: float
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Said(msgspec.Struct, frozen=True):
    """One turn of the model."""

    message: AnswerMessage
    finish_reason: str | None
    turn: Turn


# What was said to these very messages before, where that is known.
Recall = Callable[[Sequence[Message]], Said | None]


class Fault(msgspec.Struct, frozen=True):
    """Why an endpoint did not answer: the HTTP status (0: there was none), its error's code, the seconds after which it
    wants to be asked again (None: it did not say)."""

    status: int
    code: str
    retry_after: float | None = None


class Conversation(msgspec.Struct):
    """What happened: `messages` with the system prompt first, `calls` in order, `answer` ('' if there was none), what
    was `said` turn by turn; `fault` where the endpoint failed."""

    question: str
    messages: list[Message]
    calls: list[FunctionCall] = msgspec.field(default_factory=list)
    turns: list[Turn] = msgspec.field(default_factory=list)
    answer: str = ""
    end: End = "empty"
    error: str = ""
    seconds: float = 0.0
    said: list[Said] = msgspec.field(default_factory=list)
    fault: Fault | None = None


async def explore(
    client: AsyncOpenAI,
    model: str,
    question: str,
    toolbox: Toolbox,
    *,
    earlier: Sequence[Message] = (),
    max_calls: int = 6,
    conversation: str | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    system: str = SYSTEM,
    temperature: float = 0.0,
    metadata: Mapping[str, str] | None = None,
    recall: Recall = lambda messages: None,
) -> Conversation:
    """Lets the model explore until it answers, repeats a call, has made `max_calls` calls, or the endpoint fails.

    `earlier` stands between system prompt and question; `conversation` goes out as x-nightschool-conversation. What
    `recall` knows is not asked for again.
    Raises nothing for what the endpoint or the model does.
    """
    done = Conversation(question, [Message("system", system), *earlier, Message("user", question)])
    told = {"repository": toolbox.root.name, **({"commit": toolbox.version} if toolbox.version else {})}
    options: dict[str, Any] = {"max_tokens": max_tokens, "seed": seed, "temperature": temperature}
    options["metadata"] = {**told, **(metadata or {})}
    options = {key: value for key, value in options.items() if value is not None}
    if conversation is not None:
        options["extra_headers"] = {"x-nightschool-conversation": conversation}
    start = time.perf_counter()
    try:
        said = recall(done.messages) or await _ask(done, client, model, toolbox, options)
        while await _turn(done, said, toolbox, max_calls):
            said = recall(done.messages) or await _ask(done, client, model, toolbox, options)
    except OpenAIError as error:
        done.end, done.error, done.fault = "error", f"{type(error).__name__}: {error}", _fault(error)
    except RecursionError:
        done.end, done.error = "error", "the endpoint's answer is nested too deeply"
        done.fault = Fault(200, NONSENSE)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        done.end, done.error = "error", f"the endpoint's answer makes no sense: {error}"
        done.fault = Fault(200, NONSENSE)
    done.seconds = time.perf_counter() - start
    return done


async def _turn(done: Conversation, said: Said, toolbox: Toolbox, max_calls: int) -> bool:
    """What the model said, and the calls it asks for. False when the conversation is over."""
    done.said.append(said)
    done.turns.append(said.turn)
    wanted = said.message.tool_calls or []
    done.messages.append(Message("assistant", said.message.content, wanted or None))
    if not wanted:
        done.answer = said.message.content or ""
        done.end = "cut" if said.finish_reason == "length" else "answered" if done.answer.strip() else "empty"
        return False
    for call in wanted:
        if call.function in done.calls:
            done.end = "repeated"
            return False
        if len(done.calls) >= max_calls:
            done.end = "too_many_calls"
            return False
        done.calls.append(call.function)
        result = await toolbox.call(call.function.name, call.function.arguments)
        done.messages.append(Message("tool", result, tool_call_id=call.id))
    return True


async def _ask(done: Conversation, client: AsyncOpenAI, model: str, toolbox: Toolbox, options: dict[str, Any]) -> Said:
    start = time.perf_counter()
    raw = await client.chat.completions.with_raw_response.create(
        model=model, messages=msgspec.to_builtins(done.messages), tools=msgspec.to_builtins(toolbox.specs), **options
    )
    # the bytes through our own types: the package would construct whatever came, unchecked
    completion = msgspec.json.decode(raw.content, type=ChatResponse)
    if not completion.choices:
        raise msgspec.ValidationError("it has no choices")
    usage = completion.usage
    turn = Turn(
        served_by=raw.headers.get("x-nightschool-served-by", ""),
        reason=raw.headers.get("x-nightschool-reason", ""),
        trace=raw.headers.get("x-nightschool-trace", ""),
        seconds=time.perf_counter() - start,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )
    return Said(completion.choices[0].message, completion.choices[0].finish_reason, turn)


def _fault(error: OpenAIError) -> Fault:
    if isinstance(error, APIStatusError):
        asked = error.response.headers.get("retry-after", "")
        return Fault(error.status_code, error.code or "", float(asked) if asked.isdecimal() else None)
    if isinstance(error, APITimeoutError):
        return Fault(0, TIMEOUT)
    # without a status it is a connection that failed; any other kind says that what came is no answer
    return Fault(0, UNREACHABLE if isinstance(error, APIError) else NONSENSE)


async def explore_all(
    client: AsyncOpenAI,
    model: str,
    tasks: list[tuple[str, str, Toolbox]],
    *,
    at_once: int = 8,
    max_calls: int = 6,
    max_tokens: int | None = None,
) -> list[Conversation]:
    """One conversation for each (conversation id, question, toolbox), `at_once` of them at a time, in their order."""
    free = asyncio.Semaphore(at_once)

    async def one(identity: str, question: str, toolbox: Toolbox) -> Conversation:
        async with free:
            return await explore(
                client,
                model,
                question,
                toolbox,
                max_calls=max_calls,
                conversation=identity,
                max_tokens=max_tokens,
            )

    return await asyncio.gather(*(one(*task) for task in tasks))
