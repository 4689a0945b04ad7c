"""What is asked only where it has one right answer, and what a right answer may claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.facts import collect
from distill.generate.fills import fillings
from distill.generate.readers import READERS
from distill.generate.templates import load_templates

TEMPLATES = {one.name: one for one in load_templates(Path(__file__).parents[3] / "data" / "questions")}
FILES = {
    "__init__.py": "",
    "far/here.py": "from .near import Thing\n\n\nclass Here:\n    pass\n",
    "far/near.py": "class Thing:\n    pass\n",
    "far/lazy.py": "if True:\n    from .near import Thing\nfrom .here import Here\n\n\nclass Lazy:\n    pass\n",
    "far/astray.py": "from ..kinds import Kind\n\n\nclass Astray:\n    pass\n",
    "kinds/__init__.py": "class Kind:\n    pass\n",
    "far/kinds.py": "class Other:\n    pass\n",
    "heirs.py": "class Base:\n    pass\n\n\nclass Side:\n    pass\n\n\nclass Heir(Base):\n    pass\n\n\n"
    "class Both(Base, Side):\n    pass\n",
    "one.py": "import functools\n\n\n@functools.wraps(len)\ndef first(a):\n    return a\n",
    "two.py": "from functools import cache, wraps\n\n\n@wraps(len)\n@cache\ndef second(a):\n    return a\n",
}


MORE = {
    "shop/till.py": "RATE = 2\nclass Till:\n    def fill(self):\n        self.sum = 1\n"
    "        self.low = self.high = 0\n",
    "shop/typed.py": "LIMIT: int = 3\nRATE = 1\n",
    "shop/count.py": "from shop.till import Till\nfrom shop.typed import LIMIT\nclass Count(Till):\n    def go(self):\n"
    "        self.sum += 1\n        self.low, self.next = 1, 2\n        self.done = True\n",
    "shop/open.py": "from .till import Till\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def asked(root: Path, template: str) -> dict[str, Any]:
    """The values of the template's one slot, and what is right for each."""
    found = fillings(collect(root), TEMPLATES[template])
    return {value: oracle.value for slots, oracle in found for value in slots.values()}


def test_a_relative_import_leads_where_its_dots_say(package: Path) -> None:
    """Not to a file that is called like the package it names, and not where an import in a block comes before it."""
    found = asked(package, "class_import_classes")
    assert found["Here"] == ("Thing",)
    assert not {"Astray", "Lazy"} & found.keys()


def test_the_parent_is_asked_for_where_there_is_one(package: Path) -> None:
    assert asked(package, "parent_place") == {"Heir": ("heirs.py:1",)}


def test_a_file_that_its_name_opens_is_not_out_of_reach(package: Path) -> None:
    found = asked(package, "find_file_unseen")
    assert "near.py" in found
    assert not {"heirs.py", "__init__.py"} & found.keys()


def test_a_decorator_of_two_spellings_is_not_asked_for(package: Path) -> None:
    assert asked(package, "decorator") == {"cache": ("two.py",)}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for path, text in MORE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path / "shop"


def test_constants_with_a_type_are_not_left_out(shop: Path) -> None:
    assert asked(shop, "constants_in") == {"till.py": ("RATE",)}


def test_an_attribute_has_all_the_lines_that_set_it(shop: Path) -> None:
    found = asked(shop, "attribute_set")
    assert found["sum"] == ("count.py:5", "till.py:4")
    assert found["low"] == ("count.py:6", "till.py:5")
    assert found["done"] == ("count.py:7",)


def test_a_module_that_is_imported_by_dots_as_well_is_not_asked_for(shop: Path) -> None:
    assert asked(shop, "imports_from") == {"shop.typed": ("count.py",)}
    assert asked(shop, "importer_lines").keys() == {"shop.typed"}


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        ('1: class A:\n2:     """All."""\n3: ', {"doc": "All.", "says": "says"}),
        ('1: class A:\n2:     """All.\n3:     """', {"doc": "All.", "says": "says"}),
        ('1: class A:\n2:     """Part.\n3: ', {"doc": "Part.", "says": "begins"}),
        ('1: class A:\n2:     """\n3:     Part.', {"doc": "Part.", "says": "begins"}),
    ],
)
def test_a_docstring_says_what_is_seen_to_end(lines: str, row: dict[str, str]) -> None:
    assert READERS["docstring"](lines, {}) == [row]
