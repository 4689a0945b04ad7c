"""Grounding: arguments and claims must stand in what was seen: the user's words and the tools' results.

Owns which values of a call and which sentences of an answer are looked at. What a name is, and what counts as seen, is
names'. Knows nothing of whether an answer is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from distill.filters.calls import may_change_files, path_of
from distill.filters.names import (
    Seen,
    fenced,
    lines_in,
    looks_like_path,
    names_in,
    names_of_pattern,
    ordinary_files_in,
    without_code,
    words_often_seen,
)
from distill.filters.places import Places, claims_in
from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.results import failed, found_nothing
from distill.trajectory import Run, Trajectory
from router.chat import Tool, ToolCall

_FREE = frozenset(  # arguments that say something new: what is written, and words for people
    {
        *("content", "contents", "new_string", "newstring", "new_str", "newstr", "text", "replacement", "insert_text"),
        *("patch", "diff", "input", "code", "description", "prompt", "message", "explanation", "reason", "thought"),
        *("thoughts", "justification", "title", "todos", "plan", "activeform", "question", "answer", "summary", "url"),
    }
)
_WRITERS = frozenset(
    {
        *(
            "edit",
            "write",
            "multiedit",
            "notebookedit",
            "apply_patch",
            "patch",
            "edit_file",
            "write_file",
            "create_file",
        ),
        *("str_replace_editor", "str_replace_based_edit_tool", "replace", "insert", "write_to_file", "apply_diff"),
    }
)
_COMMANDS = frozenset({"command", "cmd", "script"})
_PROGRAM = re.compile(r"(?<![\w./=-])[a-z][a-z0-9-]{1,30}(?![\w./=-])")
_LINES = frozenset(
    {
        *("line", "start", "end", "offset", "start_line", "end_line", "line_start", "line_end", "startline", "endline"),
        *("view_range", "line_number", "from_line", "to_line"),
    }
)
_LONGEST = 300  # characters of an argument; a longer one is content
_MOST = 1000  # names of one message that are looked up
_QUOTE = 20  # characters that are no accident
_ORDINARY_LINE = 100
_RANGE = re.compile(r"(\d{1,7})(?:,(\d{1,7}))?p")  # of sed
_WILD = re.compile(r"[*?\[{]")
_ABSENT = re.compile(
    r"\b(?:does not|doesn't|do not|don't|did not|didn't) exist\b|\bno such\b|\bthere (?:is|are|was|were) no\b"
    r"|\b(?:is|are|was|were)(?: not|n't) (?:defined|present|found|used|there)\b|\bnot found\b"
    r"|\b(?:could not|couldn't|cannot|can't|did not|didn't) find\b|\bnowhere\b|\bno (?:results|matches)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(  # what code does then, and no claim of ours
    r"\b(?:if|when|whenever|whether|unless|until|in case|where|raises?|returns?|handles?|checks?)\b", re.IGNORECASE
)
_RELATIVE = re.compile(r"\b(?:that|which|who)\s{1,3}$")  # "names that are not found" are a kind of names
_WORD = re.compile(r"\w{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def grounded(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each path, line and identifier in a call stood in the context before it, or is made of what did; each that an
    answer names was seen, and where it says that it is; and what an answer denies, a search did not find."""
    alive = {step.at for run in runs for step in run.steps}
    finals = {run.final.at: run for run in runs if run.final is not None}
    seen, places = Seen(_offered(trajectory.tools)), Places()
    tools = {tool.function.name: tool for tool in trajectory.tools}
    unsaid = {*tools}  # of which nobody spoke but the model's own instructions
    calls: list[ToolCall] = []  # of what the assistant said last
    for at, message in enumerate(trajectory.messages):
        invented = ""
        if at in alive:
            invented = next((name for call in message.tool_calls or () for name in _invented(call, seen)), "")
        if invented:
            yield Finding("grounding", "masked", "ungrounded_argument", at, invented)
        if at in finals:
            yield from _claims(trajectory, finals[at], message.text, _Before(seen, places, unsaid))
        if message.role == "assistant":  # its own words prove nothing
            calls = message.tool_calls or []
            if any(may_change_files(call, tools) for call in calls):
                places.forget()
        elif message.role in ("system", "developer"):
            seen.add(message.text, words=words_often_seen(message.text))
        else:
            made = [call for call in calls if call.id == message.tool_call_id]
            unsaid -= seen.add(message.text, _arguments_of(made)).words
            if made and not may_change_files(made[0], tools):
                places.add(message.text, path_of(made[0]))
            for call in made if not (failed(message.text) or found_nothing(message.text)) else ():
                seen.add("\n".join(_taken(call)))


class _Before(NamedTuple):
    """What stood before an answer. `unsaid` are the tools that neither the user nor a result spoke of."""

    seen: Seen
    places: Places
    unsaid: Set[str]


def _claims(trajectory: Trajectory, run: Run, answer: str, before: _Before) -> Iterator[Finding]:
    sought: list[set[str]] | None = None
    left = _MOST
    written = Seen("")
    if not trajectory.tools:  # such an agent writes files in its answer: what stands there is new
        written.add("\n".join(f"{above}\n{held}" for above, held in fenced(answer)))
    for sentence in _SENTENCE.split(without_code(answer)):
        if _denies(sentence, before.seen):
            sought = [*_sought_in_vain(trajectory, run)] if sought is None else sought
            if not _proven(sentence, sought):
                yield Finding("grounding", "dropped", "unproven_absence", run.end - 1, sentence.strip()[:200])
                return
            continue
        names = [*islice(names_in(sentence), left + 1)]
        left -= len(names)
        unseen = f"more than {_MOST} names" if left < 0 else _unseen(sentence, names, written, before)
        if unseen:
            yield Finding("grounding", "dropped", "ungrounded", run.end - 1, unseen[:200])
            return


def _unseen(sentence: str, names: Sequence[str], written: Seen, before: _Before) -> str:
    """What a sentence names that nobody saw, or not where it says; empty where there is nothing. An answer that names
    a tool speaks of the agent and not of what was asked."""
    for name in names:
        if name in before.unsaid:
            return f"the tool {name}"
        if not (before.seen.has(name) or written.has(name)):
            return name
    lines = [*lines_in(sentence)]
    if unseen := next((line for line in lines if not before.seen.has_line(line)), 0):
        return f"line {unseen}"
    if mistaken := before.places.mistaken(claims_in(sentence)):
        return f"line {mistaken.line} has no {mistaken.name}"
    paths = [name for name in names if looks_like_path(name)]
    alone = len(paths) == 1 and not ordinary_files_in(sentence)
    elsewhere = (line for line in lines if alone and before.places.is_elsewhere(paths[0], line))
    return "".join(f"line {line} of {paths[0]}" for line in islice(elsewhere, 1))


def _proven(sentence: str, sought: Sequence[set[str]]) -> bool:
    """Whether a search came back empty, one for what the sentence names, if it names anything."""
    named = [{*_WORD.findall(name)} for name in names_in(sentence)]
    return any(words & name for words in sought for name in named) if named else bool(sought)


def _denies(sentence: str, seen: Seen) -> bool:
    """Whether a sentence says of its own that something is not there, and not what code does, or a quoted text."""
    found = _ABSENT.search(sentence)
    if found is None or _CONDITION.search(sentence[: found.start()]):
        return False
    if _RELATIVE.search(sentence[: found.start()]) and not found[0].lower().startswith(("there", "no")):
        return False
    words = sentence[found.start() :].rstrip(".!?\"'` ")
    return len(words) < _QUOTE or not seen.quotes(words)


def _sought_in_vain(trajectory: Trajectory, run: Run) -> Iterator[set[str]]:
    """The words of the searches that came back empty until the end of a run, one set for each."""
    for step in trajectory.steps:
        for call in step.calls if step.at < run.end else ():
            if found_nothing(step.result_of(call) or "something"):
                yield {word for text in _texts_in(call) for word in _WORD.findall(text)}


def _invented(call: ToolCall, seen: Seen) -> Iterator[str]:
    if call.function.name.lower() in _WRITERS:
        return  # what it writes, and where, may be new
    for key, value in islice(_leaves("", _decoded(call)), _MOST):
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
        if found := _RANGE.fullmatch(word.strip("'\"")):
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


def _offered(tools: Sequence[Tool]) -> str:
    """What the model is told of its tools."""
    told = ((tool.function.name, tool.function.description, *_words_of(tool.function.parameters)) for tool in tools)
    return "\n".join(" ".join(words) for words in told)


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


def _taken(call: ToolCall) -> Iterator[str]:
    """What of a call stands there once the tool took it: the paths it names, what it wrote, the programs it ran.

    Not what it searched for: a search may find something else.
    """
    tool = call.function.name.lower()
    for key, value in _leaves("", _decoded(call)):
        if isinstance(value, str) and tool in _WRITERS:
            yield value
        elif isinstance(value, str) and key.lower() not in _FREE and len(value) <= _LONGEST:
            yield from (name for name in names_in(value) if looks_like_path(name))
            yield from _PROGRAM.findall(value) if key.lower() in _COMMANDS else ()


def _arguments_of(calls: Sequence[ToolCall]) -> frozenset[str]:
    """The short texts in the calls' arguments, and their words: a folder may stand in a command."""
    texts = [text for call in calls for text in _texts_in(call) if len(text) <= _LONGEST]
    return frozenset([*texts, *(word for text in texts for word in text.split())])


def _texts_in(call: ToolCall) -> Iterator[str]:
    yield from (value for _, value in _leaves("", _decoded(call)) if isinstance(value, str))


def _decoded(call: ToolCall) -> Any:
    """The call's arguments; none where they are no JSON, which is the format's business."""
    try:
        return msgspec.json.decode(call.function.arguments or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
