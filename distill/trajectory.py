"""Trajectory: one way that a conversation went, as its traces tell it, cut into runs and steps.

Owns how traces are put together. A conversation's traces may disagree (a question asked again, an edited message, a
compaction): traces belong to one trajectory when what one was asked and answered is how the other's request begins, and
each that nobody goes on from ends a trajectory of its own. Knows nothing of what may be learnt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from distill.trace import Trace
from router.chat import Message, Tool, ToolCall


@dataclass(frozen=True)
class Step:
    """What the assistant said at place `at`, the trace that answered so, None where none did (agents put words into
    its mouth, or the answer came from elsewhere), and the tools' results."""

    at: int
    message: Message
    trace: Trace | None
    results: tuple[Message, ...]

    @property
    def calls(self) -> list[ToolCall]:
        return self.message.tool_calls or []

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools that were offered when this was said, by name."""
        return {tool.function.name: tool for tool in (self.trace.request.tools if self.trace else None) or ()}

    def result_of(self, call: ToolCall) -> str | None:
        """The text of the call's result, None where there is none."""
        return next((result.text for result in self.results if result.tool_call_id == call.id), None)


@dataclass(frozen=True)
class Run:
    """From a user's word to the last thing said before the next: places `start` to `end`, `end` not included."""

    start: int
    end: int
    question: str
    steps: tuple[Step, ...]

    @property
    def final(self) -> Step | None:
        """The answer in words that ends the run; None where it does not end with one."""
        last = self.steps[-1] if self.steps else None
        if last is None or last.calls or not last.message.text.strip() or last.at != self.end - 1:
            return None
        return last


@dataclass(frozen=True)
class Trajectory:
    """`traces` are those that answered in it, oldest first; `messages` are the last one's request and answer."""

    traces: tuple[Trace, ...]
    messages: tuple[Message, ...]
    authors: tuple[Trace | None, ...]  # of each message

    @property
    def last(self) -> Trace:
        return self.traces[-1]

    @property
    def tools(self) -> list[Tool]:
        return self.last.request.tools or []

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        return tuple(
            Step(at, message, self.authors[at], tuple(self._results(at)))
            for at, message in enumerate(self.messages)
            if message.role == "assistant"
        )

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        starts = [0]
        before = ""
        for at, message in enumerate(self.messages):
            # what stands right behind a tool's result, or another word of the user's, is no new word
            if message.role == "user" and before == "assistant":
                starts.append(at)
            before = before if message.role in ("system", "developer") else message.role
        ends = [*starts[1:], len(self.messages)]
        steps = iter(self.steps)
        held = next(steps, None)
        runs = []
        for start, end in zip(starts, ends, strict=True):
            mine: list[Step] = []
            while held is not None and held.at < end:
                mine.append(held)
                held = next(steps, None)
            runs.append(self._run(start, end, tuple(mine)))
        return tuple(runs)

    def _run(self, start: int, end: int, steps: tuple[Step, ...]) -> Run:
        first = steps[0].at if steps else end
        asked = "\n".join(message.text for message in self.messages[start:first] if message.role == "user")
        return Run(start, end, asked, steps)

    def _results(self, at: int) -> Iterator[Message]:
        place = at + 1
        while place < len(self.messages) and self.messages[place].role != "assistant":
            if self.messages[place].role == "tool":
                yield self.messages[place]
            place += 1


@dataclass(frozen=True)
class _Placed:
    """A trace and digests of the conversation: after each message of its request, and after its answer."""

    trace: Trace
    reached: list[bytes]
    end: bytes | None


def by_conversation(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    """Traces grouped by conversation, in the order in which conversations began. Two clients share none."""
    groups: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        groups.setdefault((trace.client, trace.conversation), []).append(trace)
    yield from groups.values()


def trajectories(traces: Sequence[Trace]) -> list[Trajectory]:
    """The ways that one conversation went, the longest first; every trace is in at least one. Of several that were
    asked and answered the very same, one is gone on from."""
    placed = _placed(traces)
    gone_on = {digest for one in placed for digest in one.reached}
    answered: dict[bytes, Trace] = {}
    for one in placed:
        if one.end is not None and (one.end not in answered or _worth(one.trace) > _worth(answered[one.end])):
            answered[one.end] = one.trace
    leaves = [one for one in placed if one.end not in gone_on or answered.get(one.end) is not one.trace]
    found = [_trajectory(leaf, answered) for leaf in leaves]
    return sorted(found, key=lambda trajectory: -len(trajectory.messages))


def same_question(traces: Sequence[Trace]) -> Iterator[tuple[Trace, Trace]]:
    """Traces that were asked the very same, each with the next one that was, in the order of time."""
    asked: dict[tuple[object, ...], Trace] = {}
    for one in _placed(traces):
        trace = one.trace
        question = (*one.reached[-1:], *_setting(trace))
        if question in asked:
            yield asked[question], trace
        asked[question] = trace


def call_key(call: ToolCall) -> tuple[str, bytes]:
    """A call in its one spelling, whoever wrote its JSON."""
    return call.function.name, _canonical(call.function.arguments)


def _setting(trace: Trace) -> tuple[object, ...]:
    """What tells requests with the same messages apart: agents ask for titles, too."""
    request = trace.request
    told = next((message.text[:200] for message in request.messages if message.role in ("system", "developer")), "")
    return request.model, tuple(tool.function.name for tool in request.tools or ()), told


def _worth(trace: Trace) -> tuple[bool, bool]:
    return trace.state == "completed", trace.decision.arm == "teacher"


def _trajectory(leaf: _Placed, answered: dict[bytes, Trace]) -> Trajectory:
    messages = list(leaf.trace.request.messages)
    authors: list[Trace | None] = [
        answered.get(digest) if message.role == "assistant" else None
        for message, digest in zip(messages, leaf.reached, strict=True)
    ]
    traces = [author for author in authors if author is not None]
    said = _said(leaf.trace)
    if said is not None:
        messages.append(said)
        authors.append(leaf.trace)
    return Trajectory((*traces, leaf.trace), tuple(messages), tuple(authors))


def _placed(traces: Sequence[Trace]) -> list[_Placed]:
    """The traces in the order of time. Every turn repeats what was said before it, mostly as the very same objects:
    what one digest becomes with one of these is found once, or long conversations would take time by their square."""
    known: dict[tuple[bytes, int], bytes] = {}
    return [_place(trace, known) for trace in sorted(traces, key=lambda trace: (trace.created, trace.id))]


def _place(trace: Trace, known: dict[tuple[bytes, int], bytes]) -> _Placed:
    digest = b""
    reached = []
    for message in trace.request.messages:
        at = (digest, id(message))
        digest = known[at] = known[at] if at in known else _after(digest, message)
        reached.append(digest)
    said = _said(trace)
    return _Placed(trace, reached, None if said is None else _after(digest, said))


def _said(trace: Trace) -> Message | None:
    answer = trace.answer
    if answer is None:
        return None
    return Message("assistant", answer.content, answer.tool_calls)


def _after(digest: bytes, message: Message) -> bytes:
    """The conversation's digest with one more message. System messages are left out: agents keep dates and reminders
    in them. So are ids of calls and the white space around texts, which do not always come back as they went."""
    if message.role in ("system", "developer"):
        return digest
    running = hashlib.blake2b(digest, digest_size=16)
    running.update(message.role.encode() + b"\0" + _bytes(message.text.strip()))
    if isinstance(message.content, list):
        others = [part for part in message.content if part.get("type") != "text"]
        running.update(b"\0" + msgspec.json.encode(others, order="deterministic") if others else b"")
    for call in message.tool_calls or ():
        name, arguments = call_key(call)
        running.update(b"\1" + _bytes(name) + b"\0" + arguments)
    return running.digest()


def _canonical(arguments: str) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="deterministic")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _bytes(arguments)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
