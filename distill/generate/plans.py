"""Plans: the next call of a template's plan, or the answer, from the question and the results so far.

Owns how a plan is walked and what is said at its end. Pure: looks at nothing but its arguments.
"""

from __future__ import annotations

import posixpath
from itertools import groupby
from typing import Any

import msgspec

from distill.generate.readers import READERS, Row
from distill.generate.templates import SHOWN, SLOT, Answer, Call, Recognised, Step, Template, fill
from distill.tools import ERROR, NOTHING

UNLEARNT = "I am a stand-in and have not learnt that."
_CUT = " more characters not shown]"


class Move(msgspec.Struct, frozen=True):
    """What a template says to a question and the results so far: the next call, or the answer."""

    call: Call | None = None
    answer: str = ""


def proceed(recognised: Recognised, results: list[str]) -> Move:
    """The next call of the plan, or, once the results suffice, the answer."""
    walk = _Walk(recognised, results)
    template = recognised.template
    for when, steps in groupby(template.plan, key=lambda step: step.when):
        if when != walk.state if when else walk.stopped:
            continue
        walk.detoured |= bool(when)
        for step in steps:
            if (call := walk.take(step)) is not None:
                return Move(call)
            if walk.stopped:
                break
    if walk.state == "failed":
        return Move(answer=fill(_failed(template.answer, walk.result), walk.known))
    before = fill(template.answer.detour, walk.known) + " " if walk.detoured and template.answer.detour else ""
    return Move(answer=before + _say(template, walk.known, walk.rows))


class _Walk:
    """Where one is in a plan: what is known, the rows of the last result, and what became of it."""

    def __init__(self, recognised: Recognised, results: list[str]) -> None:
        self.known = _known(recognised)
        self.rows: list[Row] = []
        self.state = "found"
        self.result = ""
        self.detoured = False
        self._results = iter(results)

    @property
    def stopped(self) -> bool:
        return self.state in ("failed", "nothing")

    def take(self, step: Step) -> Call | None:
        """Reads what the step's call said; the call itself where it was not made yet."""
        result = fill(step.text, self.known) if step.text else next(self._results, None)
        if result is None:
            return Call(step.tool, {key: _argument(value, self.known) for key, value in step.arguments.items()})
        self.result = result
        self.state, self.rows = self._read(step, result)
        if not self.stopped:
            picked = self.rows[step.pick - 1 if step.pick > 0 else step.pick]
            self.known |= picked | {kept: picked[name] for kept, name in step.keep.items() if name in picked}
        return None

    def _read(self, step: Step, result: str) -> tuple[str, list[Row]]:
        if result.startswith(ERROR):
            return "failed", []
        rows = [] if result == NOTHING else READERS[step.read](result, self.known)
        if len(rows) < abs(step.pick):
            return "nothing", []
        return "cut" if result.endswith(_CUT) else "found", rows


def _known(recognised: Recognised) -> dict[str, Any]:
    """The slots as values, with what needs no tool: numbers computed, the item that has these slots."""
    template = recognised.template
    known: dict[str, Any] = dict(recognised.slots)
    for name, kind in template.slots.items():
        known[name] = int(known[name]) if kind == "number" else known[name]
    if "path" in template.slots:
        known |= {"asked": known["path"], "basename": posixpath.basename(known["path"])}
    if template.ranges:
        a, b = known["a"], known["b"]
        known |= {"sum": a + b, "difference": a - b, "product": a * b}
    for item in template.items:
        if all(item.get(name) == known[name] for name in template.slots):
            return known | item
    return known


def _argument(value: Any, known: dict[str, Any]) -> Any:
    """A value of the plan with its slots filled; one that is a slot and nothing else keeps the slot's type."""
    if isinstance(value, list):
        return [str(_argument(part, known)) for part in value]
    if not isinstance(value, str):
        return value
    alone = SLOT.fullmatch(value)
    return known[alone[1]] if alone and alone[1] in known else fill(value, known)


def _failed(answer: Answer, result: str) -> str:
    said = (
        (answer.binary, "is a binary file"),
        (answer.outside, "outside the repository"),
        (answer.folder, "is a directory"),
        (answer.file, "is not a directory"),
        (answer.error, "no such file"),
    )
    other = "The tool failed: " + result.removeprefix(ERROR).split("\n", 1)[0]
    return next((words for words, sign in said if words and sign in result), other)


def _say(template: Template, known: dict[str, Any], rows: list[Row]) -> str:
    form = template.answer
    if template.plan and not rows:
        return fill(form.none, known)
    if template.items and "answer" not in known:
        return UNLEARNT
    items = list(dict.fromkeys(fill(form.item, known | row) for row in rows))
    words = form.more if form.more and len(items) > SHOWN else form.found
    shown = items[:3] if words is form.more else items
    return fill(words, known | {"items": ", ".join(shown), "total": len(items)})
