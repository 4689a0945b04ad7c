"""A thousand facts of installed packages, drawn by a seed, against tools that are none of ours.

Whoever disagrees for a reason that is known is named in EXPLAINED; there must be nobody else.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from distill.facts import ClassFact, FunctionFact, collect, usages
from tests.distill.facts.judges import Fact, Package, anew, ctags, found_alone, places, ripgrep

pytestmark = pytest.mark.school

PACKAGES = ("litestar", "openai", "pydantic", "attr", "msgspec", "jinja2", "rich")
JUDGES = (ripgrep, ctags, anew)
FIELDS = ("classes", "functions", "imports", "constants", "files")
DRAWN = 160  # facts of each package, of as few files as hold them
NAMES = 12  # of each package, whose places are compared
COMMENTS = "inspect.getblock counts the comments below a block that are indented like it"
STRINGS = "ripgrep finds heads of classes and functions inside of strings"
EXPLAINED = {COMMENTS, STRINGS}


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    roots = [Path(find_spec(name).submodule_search_locations[0]) for name in PACKAGES]
    return [Package(root, collect(root)) for root in roots]


def drawn(package: Package) -> list[Fact]:
    """All facts of some files, at least DRAWN."""
    by_file: dict[str, list[Fact]] = defaultdict(list)
    for field in FIELDS:
        for fact in getattr(package.facts, field):
            by_file[fact.path].append(fact)
    found: list[Fact] = []
    for path in random.Random(f"facts of {package.root.name}").sample(sorted(by_file), len(by_file)):
        found += by_file[path] if len(found) < DRAWN else []
    return found


def explanation(package: Package, fact: Fact, judge: str, what: str) -> str:
    """Why a judge disagrees, if that is known; else what it disagrees on."""
    if (judge, what) == ("anew", "lines") and isinstance(fact, ClassFact | FunctionFact):
        below = [line.strip() for line in package.block(fact)[fact.lines :]]
        if below and all(not line or line.startswith("#") for line in below):
            return COMMENTS
    return f"{judge}: {what} of {fact}"


def test_a_thousand_facts_are_what_other_tools_say(packages: list[Package]) -> None:
    facts = [(package, fact) for package in packages for fact in drawn(package)]
    assert len(facts) >= 1000
    said = Counter(
        explanation(package, fact, judge.__name__, what)
        for package, fact in facts
        for judge in JUDGES
        for what in judge(package, fact)
    )
    assert not said.keys() - EXPLAINED
    assert said.total() < 10


def test_what_ripgrep_finds_and_no_fact_has_is_inside_of_strings(packages: list[Package]) -> None:
    said: Counter[str] = Counter()
    for package in packages:
        alone = list(found_alone(package))
        for kind, place, text in random.Random(3).sample(alone, min(12, len(alone))):
            said[STRINGS if package.in_text(place) else f"{kind} at {package.root.name}/{place}: {text}"] += 1
    assert not said.keys() - EXPLAINED
    assert said[STRINGS] > 30


def test_names_are_used_where_ripgrep_finds_them(packages: list[Package]) -> None:
    compared = 0
    for package in packages:
        names = sorted({fact.name for fact in [*package.facts.classes, *package.facts.functions]})
        for name in random.Random(5).sample(names, NAMES):
            found = usages(package.facts, name)
            assert set(found) == places(package, name)
            compared += len(found)
    assert compared > 500


def test_judges_see_what_is_wrong(packages: list[Package]) -> None:
    """Each change of a fact is noticed by somebody, so that agreement means something."""
    changes = {
        "classes": {
            "line": 1, "bases": ("X",), "decorators": ("x",), "nested": None, "protocol": None, "dataclass": None,
            "methods": ("x",), "lines": 1, "name": "X",
        },
        "functions": {
            "line": 1, "parameters": ("x",), "returns": "X", "decorators": ("x",), "head": "x", "owner": "X",
            "nested": None, "defaults": ("9",), "complexity": 1, "lines": 1, "name": "x",
        },
        "imports": {"line": 1, "module": "x"},
        "constants": {"line": 1, "name": "X", "value": "x"},
        "files": {"lines": 1},
    }  # fmt: skip
    (package,) = [one for one in packages if one.root.name == "attr"]
    for field, changed in changes.items():
        fact = getattr(package.facts, field)[3]
        for name, by in changed.items():
            wrong = changed_by(fact, name, by)
            assert [what for judge in JUDGES for what in judge(package, wrong)], (field, name)


def changed_by(fact: Fact, name: str, by: object) -> Fact:
    """The fact with a field made wrong: a number moved, a truth turned, anything else added."""
    now = getattr(fact, name)
    if isinstance(now, bool):
        made: object = not now
    elif isinstance(now, int):
        made = now + 1
    else:
        made = now + by
    return msgspec.structs.replace(fact, **{name: made})
