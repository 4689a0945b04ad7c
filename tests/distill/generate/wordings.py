"""Answers as models word them to questions of the templates, right ones and subtly wrong ones: names and places.

Owns nothing but the table's first half; `wordings_of_values` has numbers, texts, parameters and denials.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from distill.generate.question import Kind, Oracle, Question


class Worded(NamedTuple):
    """A question, and answers that are right and wrong."""

    question: Question
    right: list[str]
    wrong: list[str]


def question(kind: Kind, value: Iterable[str], text: str, allowed: Iterable[str] = ()) -> Question:
    return Question("id", "repository", "search", "t", text, [], Oracle(kind, tuple(value), tuple(allowed)))


SUBCLASSES = Worded(
    question("names", ["Child", "Other"], "Which classes subclass Base?", ["a/b.py", "c.py"]),
    [
        (
            "Sure! Two classes subclass `Base`:\n\n1. **Child** (in `a/b.py`)\n2. **Other** (in `c.py`)\n\nLet "
            "me know if you need more!"
        ),
        "| Class | File |\n|---|---|\n| Child | a/b.py |\n| Other | c.py |",
        "The classes that subclass Base are Child and Other.",
        "- `Child` – a/b.py\n- `Other` – c.py",
        "Child (./a/b.py) and Other (./c.py) both inherit from Base.",
        "```python\nclass Child(Base):\nclass Other(Base):\n```",
        "Base has two direct subclasses, Child and Other. There are no other subclasses.",
        "* Child: defined in a/b.py\n* Other: defined in c.py",
        "### Subclasses of Base\n- **`Child`**\n- **`Other`**",
        "I searched for `class .*(Base)` and found: Child, Other.",
        "Both `Child` (a/b.py:12) and `Other` (c.py:3) extend `Base`.",
        "The following classes subclass Base:\n\nChild\nOther",
        "\u201cChild\u201d and \u201cOther\u201d.",
        "Child, which is in a/b.py, and Other, which is in c.py.",
        "Child and/or Other, i.e. both of them, derive from Base.",
        "Child → a/b.py; Other → c.py",
        "[Child](a/b.py) and [Other](c.py) are the only ones.",
    ],
    [
        "Only `Child` subclasses `Base`.",
        "- Child\n- Other\n- Third",
        "- child\n- other",
        "Child, Other and Third subclass Base.",
        "The class Third, Child and Other.",
        "Child and Others subclass Base.",
        "| Class | File |\n|---|---|\n| Child | a/b.py |\n| Other | c.py |\n| Third | d.py |",
        "Child and Other do not subclass Base.",
        "No class subclasses Base, neither Child nor Other.",
        "Child, Other, and also `Grand`.",
        "1. Child\n2. Other\n3. Mixin (abstract)",
        "Child (a/b.py) and Other (d.py).",
        "Child2 and Other.",
        "```python\nclass Child(Base):\nclass Other(Base):\nclass Third(Base):\n```",
        "Child, Other. Third also subclasses Base.",
        "There are no subclasses of Base.",
        "I am not sure which classes subclass Base.",
    ],
)
FUNCTIONS = Worded(
    question("names", ["load", "run", "save_all"], "Which functions does pkg/io.py define?", ["pkg/io.py"]),
    [
        "The file `pkg/io.py` defines three functions: `load`, `run` and `save_all`.",
        "1. load\n2. run\n3. save_all",
        "- `load(path)`: reads a file\n- `run()`: runs everything\n- `save_all(items, path=None)`: writes all of it",
        "```python\ndef load(path): ...\ndef run(): ...\ndef save_all(items, out_path=None): ...\n```",
        "load, run, save_all",
        "pkg/io.py defines load(), run() and save_all().",
        "| Function |\n| --- |\n| load |\n| run |\n| save_all |",
        "In ./pkg/io.py there are: **load**, **run**, **save_all**. Hope this helps!",
        "Here are the functions:\n\n* load\n* run\n* save\\_all",
        "The functions are load (line 3), run (line 9), and save_all (line 20).",
        "load\nrun\nsave_all\n",
    ],
    [
        "load, run",
        "load, run, save",
        "load, run, save_all, dump",
        "1. load\n2. run\n3. save_all\n4. dump",
        "- `load`\n- `run`\n- `save_all`\n- `close`",
        "load, run and save_all in pkg/oi.py.",
        "load, run, saveAll",
        "Load, Run, Save_All",
        "pkg/io.py defines load, run, save_all, and the class Reader.",
        "```python\ndef load(path): ...\ndef run(): ...\ndef save_all(items): ...\ndef dump(): ...\n```",
        "pkg/io.py defines no functions.",
        "| Function |\n| --- |\n| load |\n| run |\n| save_all |\n| dump |",
    ],
)
IMPORTS = Worded(
    question("names", ["pkg/a.py", "pkg/sub/c.py"], "Which files import something from os.path?"),
    [
        "The files are:\n- pkg/a.py\n- pkg/sub/c.py",
        "`pkg/a.py` (line 3) and `pkg/sub/c.py` (line 1) import from os.path.",
        "./pkg/a.py, ./pkg/sub/c.py",
        "pkg/a.py:3: from os.path import join\npkg/sub/c.py:1: from os.path import exists",
        "Two files: /home/me/project/pkg/a.py and /home/me/project/pkg/sub/c.py.",
        "1. **pkg/a.py**\n2. **pkg/sub/c.py**\n\nThese read/write files.",
        "Both pkg/a.py and c.py in pkg/sub (pkg/sub/c.py) do.",
        "| File | Line |\n|---|---|\n| pkg/a.py | 3 |\n| pkg/sub/c.py | 1 |",
    ],
    [
        "pkg/a.py",
        "pkg/a.py and pkg/sub/d.py",
        "pkg/a.py, pkg/sub/c.py and pkg/b.py",
        "a.py and c.py",
        "pkg/a.pyi and pkg/sub/c.py",
        "- pkg/a.py\n- pkg/sub/c.py\n- setup.py",
        "No file imports from os.path.",
        "pkg/a.py and sub/c.py",
        "Neither pkg/a.py nor pkg/sub/c.py imports from os.path.",
    ],
)
FILE = Worded(
    question("names", ["pkg/sub/config.py"], "Where is the file config.py?"),
    [
        "The file `config.py` is located at `pkg/sub/config.py`.",
        "It's in the `pkg/sub` folder: pkg/sub/config.py",
        "./pkg/sub/config.py",
        "Yes, there is one: `/srv/checkout/pkg/sub/config.py`.",
        "```\npkg/sub/config.py\n```",
        "**config.py** → pkg/sub/config.py",
        "The path of config.py is pkg/sub/config.py.",
    ],
    [
        "It is in pkg/config.py.",
        "pkg/sub/config.pyc",
        "pkg/sub/config.py or pkg/config.py",
        "There is no file config.py.",
        "There is no pkg/sub/config.py.",
        "It is in the root folder.",
        "pkg/sub/configs.py",
        "sub/config.py",
    ],
)
FOLDER = Worded(
    question("names", ["__init__.py", "io.py", "sub/"], "What is in the folder pkg?"),
    [
        "pkg holds __init__.py, io.py and sub.",
        "- `__init__.py`\n- `io.py`\n- `sub/`",
        "The folder pkg contains two files, `__init__.py` and `io.py`, and a subfolder `sub/`.",
        "```\n__init__.py\nio.py\nsub/\n```",
        "| Name | Kind |\n|---|---|\n| __init__.py | file |\n| io.py | file |\n| sub/ | folder |",
        "1. **io.py**\n2. **__init__.py**\n3. **sub** (directory)",
    ],
    [
        "__init__.py and io.py",
        "__init__.py, io.py, sub and tests.py",
        "- `__init__.py`\n- `io.py`\n- `sub/`\n- `tests/`",
        "init.py, io.py, sub",
        "pkg is empty.",
        "__init__.py, io.pyi, sub",
    ],
)
BASES = Worded(
    question("names", ["NamedTuple"], "What does the class Token inherit from?", ["t.NamedTuple", "t"]),
    [
        "`Token` inherits from `NamedTuple`.",
        "The base class of Token is t.NamedTuple.",
        "```python\nclass Token(t.NamedTuple):\n```",
        "Token → NamedTuple",
        "It's a subclass of **NamedTuple**, in short.",
        "- NamedTuple",
        "Sure! Class Token has one base: NamedTuple. Let me know if you want to see its fields.",
    ],
    [
        "Token inherits from tuple.",
        "Token inherits from NamedTuple and Generic.",
        "```python\nclass Token(t.NamedTuple, Generic):\n```",
        "Token does not inherit from NamedTuple.",
        "It has no base class.",
        "namedtuple",
        "- NamedTuple\n- Protocol",
        "`NamedTuple` or `TypedDict`",
    ],
)
MANY = Worded(
    question("some", ["A1", "B1", "C1", "D1", "E1", "F1"], "Which classes subclass Base?", ["a.py"]),
    [
        "There are more than 5, for example:\n- A1\n- C1\n- F1",
        "`A1`, `B1`, `C1`, `D1`, `E1` and `F1`.",
        "Six classes: A1, B1, C1, D1, E1, F1 (all in a.py).",
        "| Class |\n|---|\n| A1 |\n| B1 |\n| D1 |",
    ],
    ["A1 and B1", "A1, B1, C1, Z1", "- A1\n- B1\n- C1\n- Unknown", "None of A1, B1 and C1 subclasses Base.", "Many."],
)
PLACE = Worded(
    question("places", ["a/b.py:12"], "Where is the class Child defined?"),
    [
        "The class `Child` is defined in `a/b.py` at line 12.",
        "The class Child is defined on line 12 of a/b.py.",
        "a/b.py:12: class Child(Base):",
        "a/b.py#L12",
        "You'll find it in **a/b.py**, **line 12**.",
        "File: a/b.py\nLine: 12",
        "- File: `a/b.py`\n- Line: `12`",
        "| File | Line |\n|---|---|\n| a/b.py | 12 |",
        "1. `a/b.py:12`",
        "/home/me/project/a/b.py:12",
        "Sure! `Child` lives in `./a/b.py` (line 12). Let me know if I can help with anything else.",
        "The file is `a/b.py` and the line is 12.",
        "a/b.py, L12",
        "a/b.py line 12, in the folder a",
        "Child spans lines 12-20 of a/b.py.",
        "```\na/b.py:12:class Child(Base):\n```",
        "Child is defined once, in a/b.py (line 12, column 0).".replace(", column 0", ""),
    ],
    [
        "a/b.py",
        "a/b.py:13",
        "a/b.py lines 12 and 40",
        "a/c.py:12",
        "a/b.pyi:12",
        "Line 12.",
        "It is in a/b.py, either at line 12 or 14.",
        "Child is not defined in a/b.py line 12.",
        "a/b.py:120",
        "a/b.py:12 and c.py:3",
        "b.py:12",
        "a/b.py at line 1,2",
        "There is no class Child.",
        "a/b.py line 11-12",
    ],
)
PLACES = Worded(
    question("places", ["a/b.py:12", "c.py:3"], "Where is the function walk defined?"),
    [
        "- a/b.py:12\n- c.py:3",
        "`walk` is defined in two places:\n1. `a/b.py`, line 12\n2. `c.py`, line 3",
        "On line 12 of a/b.py and on line 3 of c.py.",
        "| File | Line |\n|---|---|\n| c.py | 3 |\n| a/b.py | 12 |",
        "a/b.py:12: def walk():\nc.py:3: def walk(self):",
        "There are 2 definitions: a/b.py (line 12) and c.py (line 3).",
        "In a/b.py at line 12, and in c.py at line 3.",
        "**a/b.py** – line 12; **c.py** – line 3",
    ],
    [
        "a/b.py:12",
        "a/b.py:3 and c.py:12",
        "On line 3 of a/b.py and on line 12 of c.py.",
        "- a/b.py:12\n- c.py:3\n- d.py:9",
        "a/b.py:12, c.py:4",
        "a/b.py lines 12 and 3",
        "| File | Line |\n|---|---|\n| c.py | 12 |\n| a/b.py | 3 |",
        "There are 3 definitions: a/b.py (line 12) and c.py (line 3).",
    ],
)
SAME_FILE = Worded(
    question("places", ["a.py:3", "a.py:7"], "Where is the function get defined?"),
    [
        "`get` is defined in a.py on lines 3 and 7.",
        "a.py:3 and a.py:7",
        "On lines 3 and 7 of a.py.",
        "a.py, line 3\na.py, line 7",
    ],
    ["a.py:3", "a.py on lines 3, 7 and 9.", "a.py on lines 3-7.", "On lines 3 and 7 of b.py."],
)
WORDED = [SUBCLASSES, FUNCTIONS, IMPORTS, FILE, FOLDER, BASES, MANY, PLACE, PLACES, SAME_FILE]
