"""Answers in words that the oracles were not written with: first as a small model words them, then others' habits."""

from __future__ import annotations

from tests.distill.generate.wordings import Worded, question

FILE_AND_LINE = Worded(
    question("places", ["packaging/version.py:331"], "In which file is the class _Version, and at which line?"),
    [
        "The file is `packaging/version.py` and the line is 331.",
        "The class `_Version` is defined in the file `packaging/version.py` at line 331.",
        "The _Version class is defined in packaging/version.py at line 331.",
        "The file `packaging/version.py` contains the class `_Version` at line 331.",
        "_Version is in packaging/version.py at line 331.",
        (
            "`_Version` is defined on **line 331** of **`packaging/version.py`**:\n\n```python\nclass "
            "_Version(NamedTuple):\n```"
        ),
        "Found it: packaging/version.py, line no. 331",
        "In packaging/version.py (at line 331).\n\nWould you like me to show the surrounding code?",
    ],
    [
        "The class `_Version` is defined in the file `packaging/version.py` at lines 331 and 515.",
        "The class `_Version` is defined in the file `packaging/_ranges.py` at line 331.",
        "The file is `packaging/version.py` and the line is 313.",
        "The _Version class is defined in the packaging/version.py file, which is in the same folder as __init__.py.",
        "The file is `version.py` and the line is 331.",
        (
            "The class `_Version` is defined in the file `packaging/version.py` at line 331, and in "
            "`packaging/_ranges.py` at line 175."
        ),
    ],
)
FILES_IN = Worded(
    question("names", ["__init__.py", "_base.py", "dev.py", "stdlib.py"], "What files are in the folder structlog?"),
    [
        "The files in structlog are __init__.py, _base.py, dev.py, and stdlib.py.",
        "The files in structlog are __init__.py, _base.py, dev.py,stdlib.py.",
        (
            "There are 4 files in the folder `structlog`:\n\n- `__init__.py` (16 lines)\n- `_base.py` (245 "
            "lines)\n- `dev.py` (760 lines)\n- `stdlib.py` (1100 lines)"
        ),
        "structlog/__init__.py, structlog/_base.py, structlog/dev.py, structlog/stdlib.py",
        "It contains four files: `__init__.py`, `_base.py`, `dev.py` and `stdlib.py`.",
    ],
    [
        "The files in structlog are __init__.py, _base.py, dev.py, stdlib.py, testing.py.",
        "The files in structlog are __init__.py, _base.py and dev.py.",
        "The files in structlog are __init__.py, base.py, dev.py, and stdlib.py.",
        "There are 4 files in the folder structlog.",
    ],
)
CLASSES = Worded(
    question("names", ["Alpha", "BetaError", "gamma_t"], "What classes does src/core.py contain?", ["src/core.py"]),
    [
        (
            "`src/core.py` contains the following classes:\n\n1. `Alpha` — the main class\n2. `BetaError` — "
            "raised on failure\n3. `gamma_t` — a small type"
        ),
        "Alpha, BetaError & gamma_t",
        "The classes in src/core.py are:\n    Alpha\n    BetaError\n    gamma_t",
        "There are three: class Alpha, class BetaError, and class gamma_t.",
        "> Alpha\n> BetaError\n> gamma_t",
        "a) Alpha\nb) BetaError\nc) gamma_t",
        (
            "Classes found:\n• Alpha (line 10)\n• BetaError (line 42)\n• gamma_t (line 77)\n\nIn total there are "
            "3 classes."
        ),
        '["Alpha", "BetaError", "gamma_t"]',
    ],
    [
        "`src/core.py` contains Alpha, BetaError and GammaT.",
        "Alpha, BetaError, gamma_t and Delta",
        "There are three: class Alpha, class BetaError, and class Gamma.",
        '["Alpha", "BetaError", "gamma_t", "delta_t"]',
        "a) Alpha\nb) BetaError\nc) gamma_t\nd) Delta",
        "Alpha and BetaError are classes; gamma_t is not.",
        "> Alpha\n> BetaError",
        "src/core.py has Alpha, BetaError, gamma_t; src/other.py has more.",
    ],
)
COUNTED = Worded(
    question("number", ["21"], "How many functions are there in util.py?"),
    [
        "There are twenty-one functions in util.py.",
        "util.py contains 21 functions in total.",
        "I count 21.",
        "**Answer:** 21",
        "The file util.py has a total of 21 function definitions.",
        "util.py → 21",
        "`grep -c '^def ' util.py` prints 21, so there are 21 functions.",
    ],
    [
        "There are twenty functions in util.py.",
        "There are 21 functions and 3 classes.",
        "I count 21, or 22 with the nested one.",
        "Roughly 21.",
        "util.py has 21 lines.",
        "util.py has 2 1 functions.",
        "There are 21 functions in utils.py.",
    ],
)
SETTING = Worded(
    question("text", ["Path.home() / '.cache'"], "What is the value of CACHE?"),
    [
        "CACHE is set to `Path.home() / '.cache'`.",
        "```python\nCACHE = Path.home() / '.cache'\n```",
        "The constant CACHE has the value Path.home() / '.cache', i.e. a folder in the home directory.",
        "CACHE = Path.home() / '.cache'",
    ],
    ["CACHE is set to `Path.home() / 'cache'`.", "`Path.home()`", "CACHE = Path.home() / '.cache' / 'x'", "~/.cache"],
)
DOC = Worded(
    question("text", ["Return the user's name."], "What does the docstring of get_name say?"),
    [
        'The docstring says: "Return the user\'s name."',
        'Its docstring is `"""Return the user\'s name."""`.',
        "Return the user\u2019s name.",
        "> Return the user's name.",
        'It reads "Return the user\'s name".',
    ],
    [
        "Return the user's names.",
        "It returns the name of the user.",
        "Return the user's name as text.",
        "It has no docstring.",
    ],
)
TAKES = Worded(
    question("signature", ["path", "encoding"], "Which parameters does read_text take?"),
    [
        "`read_text` takes two parameters: `path` and `encoding`.",
        "read_text(path: Path, encoding: str = 'utf-8') -> str",
        "It takes `path` (a Path) and `encoding` (a str, default `'utf-8'`).",
        (
            "The function takes the following parameters:\n\n- **path**: the file to read\n- **encoding**: how "
            "it is encoded"
        ),
        "Parameters: path, encoding",
        "(path, encoding='utf-8')",
    ],
    [
        "`read_text` takes one parameter: `path`.",
        "`read_text` takes `encoding` and `path`.",
        "It takes `path`, `encoding` and `errors`.",
        "read_text(path, enc)",
        "The function takes the following parameters:\n\n- **path**: the file to read\n- **mode**: how",
    ],
)
NOWHERE = Worded(
    question("absent", ["missing"], "Where is the function fetch_all defined?"),
    [
        "After searching the repository, I found no definition of `fetch_all`.",
        "`fetch_all` does not appear to exist in this codebase.",
        "There isn't any function called fetch_all.",
        "Nothing matches `def fetch_all`.",
        "Sorry, but no function named `fetch_all` is defined in this repository. Perhaps you meant something else?",
        "The function fetch_all is not defined in any of the files.",
    ],
    [
        "The function fetch_all is defined in api.py.",
        "No, but `fetch_one` is defined in db.py.",
        "I do not have enough information.",
        "fetch_all is defined at line 9, not at line 10.",
        "Sorry, I cannot answer.",
    ],
)
WORDED = [FILE_AND_LINE, FILES_IN, CLASSES, COUNTED, SETTING, DOC, TAKES, NOWHERE]
