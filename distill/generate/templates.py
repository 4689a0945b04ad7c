"""Question templates: the TOML files a person edits, as structs, and what they mean.

Owns loading, recognising a question by its phrasings, the next call of a plan, and the words of an answer. Knows
nothing of facts and never sees a repository: the expert and the question generator both build on it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from distill.errors import QuestionError
from distill.generate.readers import READERS, Row
from distill.tools import ERROR, NOTHING

CATEGORIES = ("search", "analysis", "multi_step", "negative", "edge")
UNLEARNT = "I am a stand-in and have not learnt that."
SHOWN = 5  # items an answer lists before it says "more than"
_SLOT = re.compile(r"\{(\w+)\}")
_SHAPES = {
    "name": r"[A-Za-z_]\w*",
    "module": r"[\w.]+",
    "decorator": r"[A-Za-z_][\w.]*",
    "path": r"[^\s,;?]+",
    "number": r"\d+",
    "text": r".+",
}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call of a plan, and the reader that turns its result into rows. The first row's values fill the slots of
    the steps after it."""

    tool: str
    arguments: dict[str, Any]
    read: str


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`found` may hold {items}: the rows by the form `item`, joined by commas. `more` is said of over SHOWN rows,
    `none` of no rows, and `error`, `binary` and `outside` of a result that is an error."""

    found: str
    item: str = ""
    more: str = ""
    none: str = ""
    error: str = ""
    binary: str = ""
    outside: str = ""


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fill` names the function of `distill.generate.fills` that finds slot values and right answers. A template
    that is `of` another takes its phrasings, slots, plan and answer, and differs in how it is filled."""

    name: str
    fill: str
    category: str = ""
    of: str = ""
    phrasings: list[str] = msgspec.field(default_factory=list)
    slots: dict[str, str] = msgspec.field(default_factory=dict)
    plan: list[Step] = msgspec.field(default_factory=list)
    answer: Answer = msgspec.field(default_factory=lambda: Answer(""))
    items: list[dict[str, Any]] = msgspec.field(default_factory=list)
    ranges: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    weight: float = 1.0
    limit: int | None = None


class Call(msgspec.Struct, frozen=True):
    """A tool call with its arguments as an object."""

    name: str
    arguments: dict[str, Any]


class Recognised(msgspec.Struct, frozen=True):
    template: Template
    slots: dict[str, str]


def load_templates(folder: Path) -> list[Template]:
    """All templates of a folder's TOML files, one file per category. Raises QuestionError naming file and fault."""
    found: list[Template] = []
    for category in CATEGORIES:
        path = folder / f"{category}.toml"
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            listed = msgspec.convert(content.get("template", []), list[Template])
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise QuestionError(f"{path}: {error}") from error
        found += [msgspec.structs.replace(template, category=category) for template in listed]
    by_name = {template.name: template for template in found}
    if len(by_name) < len(found):
        raise QuestionError(f"{folder}: two templates have the same name")
    complete = [_inherit(template, by_name) for template in found]
    for template in complete:
        _check(template)
    return complete


def _inherit(template: Template, by_name: dict[str, Template]) -> Template:
    if not template.of:
        return template
    parent = by_name.get(template.of)
    if parent is None or parent.of:
        raise QuestionError(f"template {template.name}: no plain template is called {template.of!r}")
    taken = {"slots": parent.slots, "plan": parent.plan, "answer": parent.answer, "phrasings": parent.phrasings}
    return msgspec.structs.replace(template, **taken)


def _check(template: Template) -> None:
    if len(template.phrasings) < 1:
        raise QuestionError(f"template {template.name} has no phrasings")
    for step in template.plan:
        if step.read not in READERS:
            raise QuestionError(f"template {template.name}: there is no reader {step.read!r}")
    for kind in template.slots.values():
        if kind not in _SHAPES:
            raise QuestionError(f"template {template.name}: there is no kind of slot {kind!r}")
    for phrasing in template.phrasings:
        if set(_SLOT.findall(phrasing)) != set(template.slots):
            raise QuestionError(f"template {template.name}: {phrasing!r} does not name its slots")


def fill(text: str, slots: dict[str, Any]) -> str:
    """The text with its {slots} filled; braces that are no known slot stay."""
    return _SLOT.sub(lambda match: str(slots.get(match[1], match[0])), text)


class Phrasebook:
    """Recognises the template of a question and reads its slots."""

    def __init__(self, templates: Iterable[Template]) -> None:
        plain = [template for template in templates if not template.of]
        self._forms = [(_pattern(phrasing, t.slots), t) for t in plain for phrasing in t.phrasings]
        # the form with the most fixed text first, so that a loose slot never steals a more exact question
        self._forms.sort(key=lambda form: -len(re.sub(r"\(\?P.*?\)", "", form[0].pattern)))

    def recognise(self, question: str) -> Recognised | None:
        text = " ".join(question.split())
        for pattern, template in self._forms:
            if match := pattern.fullmatch(text):
                return Recognised(template, match.groupdict())
        return None


def _pattern(phrasing: str, slots: dict[str, str]) -> re.Pattern[str]:
    pieces = _SLOT.split(phrasing)
    seen: set[str] = set()
    for at in range(1, len(pieces), 2):
        name = pieces[at]
        pieces[at] = f"(?P={name})" if name in seen else f"(?P<{name}>{_SHAPES[slots[name]]})"
        seen.add(name)
    for at in range(0, len(pieces), 2):
        pieces[at] = re.escape(pieces[at])
    return re.compile("".join(pieces))


class Outcome(msgspec.Struct, frozen=True):
    """What a template says to a question and the results so far: the next call, or the answer."""

    call: Call | None = None
    answer: str = ""


def proceed(recognised: Recognised, results: list[str]) -> Outcome:
    """The next call of the plan, or, once the results suffice, the answer. Looks at nothing but its arguments."""
    template, known = recognised.template, _known(recognised)
    rows: list[Row] = []
    for at, step in enumerate(template.plan):
        if at >= len(results):
            return Outcome(Call(step.tool, {key: _argument(value, known) for key, value in step.arguments.items()}))
        if (failed := _failed(template.answer, results[at])) is not None:
            return Outcome(answer=fill(failed, known))
        rows = [] if results[at] == NOTHING else READERS[step.read](results[at], known)
        if not rows:
            break
        known |= rows[0]
    return Outcome(answer=_say(template, known, rows))


def _known(recognised: Recognised) -> dict[str, Any]:
    """The slots as values, with what needs no tool: numbers computed, the item that has these slots."""
    template = recognised.template
    known: dict[str, Any] = dict(recognised.slots)
    for name, kind in template.slots.items():
        known[name] = int(known[name]) if kind == "number" else known[name]
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
    alone = _SLOT.fullmatch(value)
    return known[alone[1]] if alone and alone[1] in known else fill(value, known)


def _failed(answer: Answer, result: str) -> str | None:
    if not result.startswith(ERROR):
        return None
    if answer.binary and "is a binary file" in result:
        return answer.binary
    if answer.outside and "outside the repository" in result:
        return answer.outside
    if answer.error and "no such file" in result:
        return answer.error
    return "The tool failed: " + result.removeprefix(ERROR).split("\n", 1)[0]


def _say(template: Template, known: dict[str, Any], rows: list[Row]) -> str:
    form = template.answer
    if template.plan and not rows:
        return fill(form.none, known)
    if template.items and "answer" not in known:
        return UNLEARNT
    if not form.item:
        return fill(form.found, known)
    items = list(dict.fromkeys(fill(form.item, known | row) for row in rows))
    words = form.more if form.more and len(items) > SHOWN else form.found
    shown = items[:3] if words is form.more else items
    return fill(words, known | {"items": ", ".join(shown)})
