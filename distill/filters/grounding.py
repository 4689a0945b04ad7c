"""Grounding: arguments and claims must stand in what was seen: the user's words and the tools' results.

Owns which values of a call and which sentences of an answer are looked at. What a name is, and what counts as seen, is
names'. Knows nothing of whether an answer is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from distill.filters.names import Seen, lines_in, names_in, names_of_pattern, without_code
from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.results import found_nothing
from distill.trajectory import Run, Step, Trajectory
from router.chat import Message, ToolCall

_FREE = frozenset(  # arguments that say something new: what is written, and words for people
    {
        *("content", "contents", "new_string", "newstring", "new_str", "newstr", "text", "replacement", "insert_text"),
        *("patch", "diff", "input", "code", "description", "prompt", "message", "explanation", "reason", "thought"),
        *("thoughts", "justification", "title", "todos", "plan", "activeform", "question", "answer", "summary", "url"),
    }
)
_LINES = frozenset(
    {
        *("line", "start", "end", "offset", "start_line", "end_line", "line_start", "line_end", "startline", "endline"),
        *("view_range", "line_number", "from_line", "to_line"),
    }
)
_LONGEST = 300  # characters of an argument; a longer one is content
_ORDINARY_LINE = 100
_RANGE = re.compile(r"(\d{1,7})(?:,(\d{1,7}))?p")  # of sed
_WILD = re.compile(r"[*?\[{]")
_ABSENT = re.compile(
    r"\b(?:does not|doesn't|do not|don't|did not|didn't) exist\b|\bno such\b|\bthere (?:is|are|was|were) no\b"
    r"|\b(?:is|are|was|were)(?: not|n't) (?:defined|present|found|used|there)\b|\bnot found\b|\bno (?:results|matches)\b"
    r"|\b(?:could not|couldn't|cannot|can't|did not|didn't) find\b|\bnowhere\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(  # what code does then, and no claim of ours
    r"\b(?:if|when|whenever|whether|unless|until|in case|where|raises?|returns?|handles?|checks?)\b", re.IGNORECASE
)
_WORD = re.compile(r"\w{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def arguments(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each path, line and identifier in a call stood in the context before it, or is made of what did."""
    alive = {step.at for run in runs for step in run.steps}
    seen = _offered(trajectory)
    for at, message in enumerate(trajectory.messages):
        if at in alive:
            invented = next((name for call in message.tool_calls or () for name in _invented(call, seen)), "")
            if invented:
                yield Finding("arguments", "masked", "ungrounded_argument", at, invented)
        _look(seen, trajectory, at, message)


def claims(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each path, line and symbol that an answer names was seen; what it denies, a search did not find."""
    finals = {run.final.at: run for run in runs if run.final is not None}
    seen = _offered(trajectory)
    for at, message in enumerate(trajectory.messages):
        if at in finals:
            yield from _claims(trajectory, finals[at], message.text, seen)
        _look(seen, trajectory, at, message)


def _claims(trajectory: Trajectory, run: Run, answer: str, seen: Seen) -> Iterator[Finding]:
    text = without_code(answer)
    unseen = next((name for name in names_in(text) if not seen.has(name)), "")
    if not unseen:
        unseen = next((f"line {line}" for line in lines_in(text) if not seen.has_line(line)), "")
    if unseen:
        yield Finding("claims", "dropped", "ungrounded", run.end - 1, unseen)
        return
    steps = [step for step in trajectory.steps if step.at < run.end]
    denied = next((sentence for sentence in _SENTENCE.split(text) if _unproven(steps, sentence, seen)), "")
    if denied:
        yield Finding("claims", "dropped", "unproven_absence", run.end - 1, denied.strip()[:200])


def _unproven(steps: Sequence[Step], sentence: str, seen: Seen) -> bool:
    """Whether a sentence denies that something is there, and neither quotes that nor rests on an empty search."""
    found = _ABSENT.search(sentence)
    if found is None or _CONDITION.search(sentence[: found.start()]):
        return False
    return not seen.quotes(sentence[found.start() :].rstrip(".!?\"'` ")) and not _searched(steps, sentence)


def _searched(steps: Sequence[Step], sentence: str) -> bool:
    """Whether a search came back empty, one for what the sentence names, if it names anything."""
    names = [*names_in(sentence)]
    for call, result in ((call, step.result_of(call)) for step in steps for call in step.calls):
        if result is not None and found_nothing(result):
            sought = {word for text in _texts_in(call) for word in _WORD.findall(text)}
            if not names or any(sought & {*_WORD.findall(name)} for name in names):
                return True
    return False


def _invented(call: ToolCall, seen: Seen) -> Iterator[str]:
    for key, value in _leaves("", _decoded(call)):
        if key.lower() in _FREE:
            continue
        if isinstance(value, str):
            yield from _invented_names(value, seen)
        elif key.lower() in _LINES and not _near(value, seen):
            yield f"{key} {value}"


def _invented_names(value: str, seen: Seen) -> Iterator[str]:
    if "\n" in value or len(value) > _LONGEST:
        return
    wild = _WILD.search(value) is not None
    for name in names_of_pattern(value):
        if not (seen.derivable(name) or (wild and seen.matches(name.strip("./")))):
            yield name
    for word in value.split():
        if found := _RANGE.fullmatch(word):
            yield from (word for number in found.groups() if number and not _near(int(number), seen))


def _near(line: int, seen: Seen) -> bool:
    """Whether one would read from here: near the top, near a line that was seen, or a round step from there."""
    return line <= _ORDINARY_LINE or line % _ORDINARY_LINE in (0, 1) or seen.near_line(line)


def _leaves(key: str, value: Any) -> Iterator[tuple[str, str | int]]:
    """The texts and whole numbers in arguments, each with the name it goes by."""
    pending = [(key, value)]
    while pending:
        name, inner = pending.pop()
        if isinstance(inner, dict):
            pending += [(str(inner_key), item) for inner_key, item in inner.items()]
        elif isinstance(inner, list):
            pending += [(name, item) for item in inner]
        elif isinstance(inner, str) or (isinstance(inner, int) and not isinstance(inner, bool)):
            yield name, inner


def _offered(trajectory: Trajectory) -> Seen:
    """What is seen before anybody speaks: the tools."""
    seen = Seen()
    for tool in trajectory.tools:
        seen.add(f"{tool.function.name}\n{tool.function.description}\n{' '.join(_words_of(tool.function.parameters))}")
    return seen


def _words_of(schema: Any) -> Iterator[str]:
    """Names of parameters, and texts of a schema."""
    pending = [schema]
    while pending:
        inner = pending.pop()
        if isinstance(inner, dict):
            yield from (str(key) for key in inner)
            pending += inner.values()
        elif isinstance(inner, list):
            pending += inner
        elif isinstance(inner, str):
            yield inner


def _look(seen: Seen, trajectory: Trajectory, at: int, message: Message) -> None:
    """Adds a message to what was seen. The assistant's own words are not."""
    if message.role == "assistant":
        return
    seen.add(message.text, _arguments_of(trajectory, at, message) if message.role == "tool" else frozenset())


def _arguments_of(trajectory: Trajectory, at: int, message: Message) -> frozenset[str]:
    step = next((step for step in reversed(trajectory.steps) if step.at < at), None)
    calls = [call for call in (step.calls if step else ()) if call.id == message.tool_call_id]
    texts = [text for call in calls for text in _texts_in(call) if len(text) <= _LONGEST]
    return frozenset([*texts, *(word for text in texts for word in text.split())])  # a folder may stand in a command


def _texts_in(call: ToolCall) -> Iterator[str]:
    yield from (value for _, value in _leaves("", _decoded(call)) if isinstance(value, str))


def _decoded(call: ToolCall) -> Any:
    """The call's arguments; none where they are no JSON, which is the format's business."""
    try:
        return msgspec.json.decode(call.function.arguments or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
