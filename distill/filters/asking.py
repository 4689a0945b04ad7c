"""Asking: whether anything of what a question names was looked at before something is said of it.

Owns which names a question asks about. An answer about code that no result showed is a guess, even where it is right.
Knows nothing of whether what was looked at says the same: that is grounding's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

from distill.filters.calls import may_change_files
from distill.filters.names import looks_like_path, names_in
from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.results import failed, found_nothing
from distill.trajectory import Run, Trajectory

_OF_CODE = re.compile(
    r"\b(?:class|function|method|constant|variable|module|package|type|file)\s{1,3}[`'\"]?(\w*[A-Z_.\d][\w.]*\w)"
)
_DENIES = re.compile(r"\b(?:no|not|none|nothing|never|nowhere|cannot|unable)\b|n't\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_MOST = 50  # names of one question


def looked_at(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Something of what the question names stood in a result, in a call that found something, or in what came before.

    Spared are agents without tools, runs that may have changed files (their names may be new), and answers that deny
    something, which have a check of their own."""
    finals = {run.final.at: run for run in runs if run.final is not None} if trajectory.tools else {}
    looked: set[str] = set()
    asked = ""
    calls = {call.id: call for step in trajectory.steps for call in step.calls}
    for at, message in enumerate(trajectory.messages if finals else ()):
        if at in finals and not _DENIES.search(message.text) and (name := _overlooked(finals[at], looked)):
            yield Finding("looked at", "dropped", "not_looked_at", finals[at].end - 1, name)
        if message.role == "user":
            looked.update(_WORD.findall(asked))
            asked = message.text
        elif message.role != "assistant" and not (failed(message.text) or found_nothing(message.text)):
            call = calls.get(message.tool_call_id or "")
            looked.update(_WORD.findall(message.text))
            looked.update(_WORD.findall(call.function.arguments) if call is not None else ())


def _overlooked(run: Run, looked: set[str]) -> str:
    """A name that the question asks about, where none of these was looked at."""
    if any(may_change_files(call, step.tools) for step in run.steps for call in step.calls):
        return ""
    names = _asked(run.question, called=any(step.calls for step in run.steps))
    shown = (looked.issuperset(_WORD.findall(name)) or run.question.count(name) > 1 for name in names)
    return names[0] if names and not any(shown) else ""


def _asked(question: str, *, called: bool) -> list[str]:
    """The names of code that a question asks about. Who calls no tool may know a name that is no path and is not said
    to be one of code; what Python brings with it anybody may know."""
    said = islice(names_in(question), _MOST)
    names = [*islice((found[1] for found in _OF_CODE.finditer(question)), _MOST)]
    names += [name for name in said if called or looks_like_path(name)]
    return [name for name in dict.fromkeys(names) if name.partition(".")[0] not in sys.stdlib_module_names]
