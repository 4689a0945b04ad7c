"""The fault table: what a backend may do wrong, what a client of each wire gets then, and the page that says so.

docs/faults.md is the expectation: the tests compare every cell with a run, and `make faults` writes it anew from one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.backends.scripted import Act
from gateway.backends.stream import as_events
from router.chat import AnswerMessage, ChatResponse, Choice, Usage
from tests.faults.wires import WIRES, Seen
from tests.gateway.running import ROOT, Running, Script

PAGE = ROOT / "docs" / "faults.md"
TEXT = "twenty characters here"  # what a teacher says that breaks
ANSWER = "the answer"
_COLUMNS = ("fault", "student", *WIRES)

_ANSWER = ChatResponse("chatcmpl-1", 1, "scripted", [Choice(AnswerMessage(TEXT), "stop")], usage=Usage(1, 1, 2))
_ROLE, _SAID, _FINISH, _USAGE, _ = as_events(_ANSWER, include_usage=True)
_BEGUN = _ROLE + _SAID
_LINE = b"x" * 10_000_000
_ERROR = b'data: {"error": {"message": "out of memory"}}\n\n'


@dataclass(frozen=True)
class Fault:
    """What the backend does where a whole answer is asked for, and where a stream is; None: there is no such thing."""

    whole: Act | None
    stream: Act

    def act(self, stream: bool) -> Act:
        act = self.stream if stream else self.whole
        assert act is not None
        return act

    @property
    def drafting(self) -> Act:
        """As a student does it, who is asked for a whole answer also where the client wants a stream."""
        return self.whole or self.stream


def _both(act: Act) -> Fault:
    return Fault(act, act)


def _within(stream: bytes, *, stall: bool = False) -> Fault:
    """Of a whole answer its first 200 bytes, of a stream what is given; then the connection's end, or silence."""
    end = "stall" if stall else "cut"
    return Fault(Act(text=TEXT, **{end: 200}), Act(raw=stream, **{end: len(stream)}))


FAULTS: Mapping[str, Fault] = {
    "429": _both(Act(status=429, headers={"retry-after": "0"})),
    "500": _both(Act(status=500)),
    "502 with HTML": _both(Act(status=502, body=b"<html>Bad gateway</html>", headers={"content-type": "text/html"})),
    "redirect": _both(Act(status=302, headers={"location": "http://127.0.0.1:1/"})),
    "connection dropped": _both(Act(drop=True)),
    "no answer": _both(Act(hang=True)),
    "first byte late": _both(Act(text="late", delay=30)),
    "empty": _both(Act(raw=b"")),
    "not JSON": _both(Act(raw=b'data: {"a\n\n')),
    "not a completion": _both(Act(raw=b'data: {"choices": 5}\n\n')),
    "a line of 10 MB": _both(Act(raw=_LINE)),
    "cut before any text": _both(Act(text=TEXT, cut=60)),
    "silent before any text": _both(Act(text=TEXT, stall=60)),
    "cut in mid-stream": _within(_BEGUN),
    "cut in mid-JSON": _within(_BEGUN + _FINISH[:40]),
    "silent in mid-stream": _within(_BEGUN, stall=True),
    "an error in mid-stream": Fault(None, Act(raw=[_BEGUN, _ERROR], pause=0.1)),
    "not JSON in mid-stream": Fault(None, Act(raw=[_BEGUN, b'data: {"a\n\n'], pause=0.1)),
    "no finish reason, no [DONE]": Fault(None, Act(raw=_BEGUN)),
    "no [DONE]": Fault(None, Act(raw=_BEGUN + _FINISH + _USAGE)),
}


@dataclass(frozen=True)
class Stage:
    """A gateway between two models that do as they are told."""

    gateway: Running
    student: Script
    teacher: Script

    def ask(self, stream: bool, model: str = "nightschool") -> dict[str, tuple[Seen, dict[str, str]]]:
        """On all wires at once: what was seen, and the headers."""

        def one(name: str) -> tuple[Seen, dict[str, str]]:
            wire = WIRES[name]
            status, headers, answer = self.gateway.call(wire.path, wire.body(model, "Hi", stream))
            return wire.read(status, answer, stream), headers

        with ThreadPoolExecutor(len(WIRES)) as pool:
            return dict(zip(WIRES, pool.map(one, WIRES), strict=True))


@contextmanager
def staged(home: Path) -> Iterator[Stage]:
    limits = {f"{arm}__{name}": 0.4 for arm in ("student", "teacher") for name in ("first_byte", "silence")}
    limits |= {"student__failures": 0, "teacher__failures": 0}  # every fault is to be met, none to be spared
    with (
        Script(Act(text="student")) as student,
        Script(Act(text="teacher")) as teacher,
        Running(home, student.url, teacher.url, teacher__attempts=2, gateway__hold_headers=20, **limits) as gateway,
    ):
        gateway.wait_ready()
        yield Stage(gateway, student, teacher)


def cell(seen: Seen) -> str:
    """What was seen, in the page's words."""
    if seen.status != 200:
        return f"{seen.status} `{seen.error}`"
    if not seen.error:
        return ANSWER
    return f"{'the text' if seen.text else 'nothing'}, then `{seen.error}`"


def told(stream: bool) -> dict[str, dict[str, str]]:
    """What the page says, by fault and column."""
    table = _table(PAGE.read_text(encoding="utf-8"), stream)[1]
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    return {line[0]: dict(zip(_COLUMNS[1:], line[1:], strict=True)) for line in lines}


def written(stage: Stage, page: str) -> str:
    """The page with both tables as a run gives them."""
    for stream in (False, True):
        rows = [_row(_COLUMNS), "|---" * len(_COLUMNS) + "|"]
        for name, fault in FAULTS.items():
            if stream or fault.whole is not None:
                rows.append(_row((name, *_met(stage, fault, stream))))
        start, end = _table(page, stream).span(1)
        page = page[:start] + "\n".join(rows) + "\n" + page[end:]
    return page


def _met(stage: Stage, fault: Fault, stream: bool) -> list[str]:
    stage.student.play(fault.drafting)
    stage.teacher.play(Act(text="teacher"))
    spared = {cell(seen) for seen, _ in stage.ask(stream).values()}
    stage.teacher.play(fault.act(stream))
    broken = [cell(seen) for seen, _ in stage.ask(stream, "teacher").values()]
    return [" / ".join(sorted(spared)), *broken]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(page: str, stream: bool) -> re.Match[str]:
    heading = "Streams" if stream else "Whole answers"
    found = re.search(rf"^## {heading}\n.*?((?:^\|[^\n]*\n)+)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/faults.md has no table under {heading}"
    return found
