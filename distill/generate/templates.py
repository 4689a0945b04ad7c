"""Question templates: the TOML files a person edits, as structs, and the questions that are theirs.

Owns loading, and recognising a question by its phrasings. Knows nothing of facts and never sees a repository: the
expert and the question generator both build on it; `distill.generate.plans` says how plans go.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any, Literal

import msgspec

from distill.errors import QuestionError
from distill.generate.readers import READERS

CATEGORIES = ("search", "analysis", "multi_step", "negative", "edge")
SHOWN = 5  # items an answer lists before it says "more than"
SLOT = re.compile(r"\{(\w+)\}")
_SPACES = r"\s{1,9}"  # between words; bounded, so that no question takes long
_SHAPES = {
    "name": r"[A-Za-z_]\w*",
    "module": r"[\w.]+",
    "decorator": r"[A-Za-z_][\w.]*",
    "path": r"[^\s,;?]+",
    "number": r"\d+",
    "text": r".+",
    "code": r"(?s:\S(?:.*\S)?)",
}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call of a plan, and the reader that turns its result into rows. The values of the row that `pick` counts to
    (1 is the first, -1 the last) fill the slots of the steps after it.

    `keep` holds values under another name, from where no later step replaces them. A step with `when` is a detour,
    taken only if the step before it ended so; steps next to each other with the same `when` are one detour. A step
    with `text` instead of a tool reads what the question itself contains.
    """

    read: str
    tool: str = ""
    arguments: dict[str, Any] = {}
    text: str = ""
    when: Literal["", "failed", "nothing", "cut"] = ""
    pick: int = 1
    keep: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`found` may hold {items}, the rows by the form `item`, joined by commas, and {total}, how many these are. `more`
    is said of over SHOWN rows, `none` of no rows, and the others of a result that is an error: `error` where there is
    no such file, `folder` where it is one and `file` where it is none. `detour` stands before the answer where a detour
    was taken."""

    found: str
    item: str = ""
    more: str = ""
    none: str = ""
    error: str = ""
    binary: str = ""
    outside: str = ""
    folder: str = ""
    file: str = ""
    detour: str = ""


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fill` names the function of `distill.generate.fills` that finds slot values and right answers. A template
    that is `of` another takes its phrasings, slots, plan and answer, and differs in how it is filled, or in the tools
    that are `withheld`. `pair` names templates: with the same slots, a question of theirs needs a tool and this one
    none."""

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
    accept: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    weight: float = 1.0
    limit: int | None = None

    @property
    def calls(self) -> bool:
        """Whether an answer takes a call."""
        return not self.withheld and any(step.tool for step in self.plan)


class Call(msgspec.Struct, frozen=True):
    """A tool call with its arguments as an object."""

    name: str
    arguments: dict[str, Any]


class Recognised(msgspec.Struct, frozen=True):
    template: Template
    slots: dict[str, str]


def load_templates(folder: Path) -> list[Template]:
    """All templates of a folder's TOML files: `<category>.toml` and, where there are any, `<category>_<more>.toml`.
    Raises QuestionError naming file and fault."""
    found: list[Template] = []
    for category in CATEGORIES:
        for path in (folder / f"{category}.toml", *sorted(folder.glob(f"{category}_*.toml"))):
            found += [msgspec.structs.replace(template, category=category) for template in _listed(path)]
    by_name = {template.name: template for template in found}
    if len(by_name) < len(found):
        raise QuestionError(f"{folder}: two templates have the same name")
    complete = [_inherit(template, by_name) for template in found]
    for template in complete:
        _check(template, by_name.keys())
    return complete


def _listed(path: Path) -> list[Template]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(content.get("template", []), list[Template])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise QuestionError(f"{path}: {error}") from error


def _inherit(template: Template, by_name: dict[str, Template]) -> Template:
    if not template.of:
        return template
    parent = by_name.get(template.of)
    if parent is None or parent.of:
        raise QuestionError(f"template {template.name}: no plain template is called {template.of!r}")
    pair = template.pair or ((template.of,) if template.withheld else ())
    taken = {
        "pair": pair,
        "slots": parent.slots,
        "plan": parent.plan,
        "answer": parent.answer,
        "phrasings": parent.phrasings,
    }
    return msgspec.structs.replace(template, **taken)


def _check(template: Template, known: Set[str]) -> None:
    if len(template.phrasings) < 1:
        raise QuestionError(f"template {template.name} has no phrasings")
    if unknown := [name for name in template.pair if name not in known]:
        raise QuestionError(f"template {template.name}: no template is called {unknown[0]!r}")
    for step in template.plan:
        if step.read not in READERS:
            raise QuestionError(f"template {template.name}: there is no reader {step.read!r}")
        if bool(step.tool) == bool(step.text) or not step.pick:
            raise QuestionError(f"template {template.name}: a step has a tool or a text, and picks no row 0")
    for kind in template.slots.values():
        if kind not in _SHAPES:
            raise QuestionError(f"template {template.name}: there is no kind of slot {kind!r}")
    for phrasing in template.phrasings:
        if set(SLOT.findall(phrasing)) != set(template.slots):
            raise QuestionError(f"template {template.name}: {phrasing!r} does not name its slots")


def fill(text: str, slots: dict[str, Any]) -> str:
    """The text with its {slots} filled; braces that are no known slot stay."""
    return SLOT.sub(lambda match: str(slots.get(match[1], match[0])), text)


class Phrasebook:
    """Recognises the template of a question and reads its slots."""

    def __init__(self, templates: Iterable[Template]) -> None:
        plain = [template for template in templates if not template.of]
        self._forms = [(_pattern(phrasing, t.slots), t) for t in plain for phrasing in t.phrasings]
        # the form with the most fixed text first, so that a loose slot never steals a more exact question
        self._forms.sort(key=lambda form: -len(re.sub(r"\(\?P.*?\)", "", form[0].pattern)))

    def recognise(self, question: str) -> Recognised | None:
        text = question.strip()
        for pattern, template in self._forms:
            if match := pattern.fullmatch(text):
                return Recognised(template, match.groupdict())
        return None


def _pattern(phrasing: str, slots: dict[str, str]) -> re.Pattern[str]:
    pieces = SLOT.split(phrasing.strip())
    seen: set[str] = set()
    for at in range(1, len(pieces), 2):
        name = pieces[at]
        pieces[at] = f"(?P={name})" if name in seen else f"(?P<{name}>{_SHAPES[slots[name]]})"
        seen.add(name)
    for at in range(0, len(pieces), 2):
        pieces[at] = _SPACES.join(map(re.escape, re.split(r"\s+", pieces[at])))
    return re.compile("".join(pieces))
