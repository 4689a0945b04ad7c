"""Answers as models word them, right ones and subtly wrong ones: numbers, texts, parameters, words and denials."""

from __future__ import annotations

from tests.distill.generate.wordings import Worded, question

LINES = Worded(
    question("number", ["1234"], "How many lines does a/b.py have?"),
    [
        "`a/b.py` has **1234** lines.",
        "1,234",
        "The file a/b.py has 1,234 lines. Let me know if you need anything else!",
        "1234 a/b.py",
        "There are 1234 lines in ./a/b.py.",
        "| File | Lines |\n|---|---|\n| a/b.py | 1234 |",
        "Line count: 1234",
        "```\n1234 a/b.py\n```",
        "Sure! According to `wc -l`, it has 1234 lines.",
        "1\u202f234 lines".replace("\u202f", ","),
    ],
    [
        "1235",
        "12345 lines",
        "about 1234 lines",
        "1234 bytes",
        "1,243 lines",
        "a/b.py has 1234 or 1235 lines.",
        "a/c.py has 1234 lines.",
        "It does not have 1234 lines.",
        "more than 1234 lines",
        "-1234",
        "1.234,5",
        "a/b.py is empty.",
        "I cannot count the lines of a/b.py.",
    ],
)
COUNT = Worded(
    question("number", ["3"], "How many classes are in pkg/io.py?"),
    [
        "3",
        "Three.",
        "There are three classes in pkg/io.py.",
        "pkg/io.py has 3 classes: Alpha, Beta and Gamma.",
        "pkg/io.py defines **3** classes:\n\n1. Alpha\n2. Beta\n3. Gamma",
        "The number of classes is 3.",
        "Number of classes in `pkg/io.py`: 3",
        "Sure, there are exactly 3 of them.",
    ],
    [
        "There are two classes.",
        "3 functions",
        "There are 3 methods and 4 classes.",
        "At least 3.",
        "2 or 3",
        "Thirty-three.",
        "There are no classes.",
        "pkg/io.py defines 4 classes:\n\n1. Alpha\n2. Beta\n3. Gamma",
        "No 3 classes are there.",
    ],
)
NONE_THERE = Worded(
    question("number", ["0"], "How many classes are in pkg/io.py?"),
    [
        "0",
        "There are no classes in pkg/io.py.",
        "Zero.",
        "It has none.",
        "pkg/io.py does not define any classes.",
        "0 classes",
    ],
    ["1", "There is one class.", "10", "I do not know.", "There is no file pkg/io.py."],
)
SUM = Worded(
    question("number", ["12"], "What is 10 plus 2?"),
    [
        "12",
        "10 + 2 = 12",
        "The sum of 10 and 2 is **12**.",
        "Twelve.",
        "10 plus 2 equals 12.",
        "It's 12!",
        "$10 + 2 = 12$",
        "12.0".removesuffix(".0"),
    ],
    ["13", "102", "10 + 2 = 14", "1.2", "12.5", "The answer is 12, or 13.", "10", "twenty"],
)
CONSTANT = Worded(
    question("text", ["30"], "What is the value of TIMEOUT?"),
    [
        "TIMEOUT is 30.",
        "`TIMEOUT = 30`",
        "The value of `TIMEOUT` is `30`.",
        "30",
        "It is set to 30 in pkg/a.py.",
        "**30**",
        "```python\nTIMEOUT = 30\n```",
        "TIMEOUT equals 30 (seconds).",
    ],
    [
        "300",
        "TIMEOUT = 300",
        "3",
        "13.30",
        "30.5",
        "TIMEOUT is not 30.",
        "It is 30 or 60.",
        "There is no constant TIMEOUT.",
        "-30",
    ],
)
QUOTED = Worded(
    question("text", ['"utf-8"'], "What is the value of ENCODING?"),
    [
        'ENCODING is "utf-8".',
        "`ENCODING` is `'utf-8'`.",
        "utf-8",
        '```\nENCODING = "utf-8"\n```',
        "The value is \u201cutf-8\u201d.",
        "**utf-8**",
    ],
    ["utf-16", "utf8", "UTF-8", "utf-8-sig", "It isn't utf-8.", '"utf-8" or "latin-1"'],
)
FIRST = Worded(
    question("text", ['"""Walks far."""'], "What is the first line of a.py?"),
    [
        'The first line is:\n```python\n"""Walks far."""\n```',
        'The first line of `a.py` is `"""Walks far."""`.',
        '1: """Walks far."""',
        "It is the docstring: Walks far.",
        '"""Walks far."""',
    ],
    ['"""Walks."""', "It is a docstring.", '"""Walks far away."""', "walks far", "a.py is empty.", "import os"],
)
LINE_AT = Worded(
    question("text", ["return self._items[0] * 2"], "What is line 7 of a.py?"),
    [
        "Line 7 is: `return self._items[0] * 2`",
        "```python\n    return self._items[0] * 2\n```",
        "7: return self._items[0] * 2",
        "Line 7 of a.py reads `return  self._items[0]  * 2`.",
        "return self.\\_items[0] \\* 2",
    ],
    [
        "return self._items[0] * 20",
        "return self._items[1] * 2",
        "return self.items[0] * 2",
        "return self._items[0]",
        "Line 7 is blank.",
    ],
)
RETURNS = Worded(
    question("type", ["int"], "What does the function walk return?"),
    [
        "walk returns int.",
        "`walk` returns an `int`.",
        "The return type of `walk` is `int`.",
        "It returns an int.",
        "```python\ndef walk(path) -> int:\n```",
        "int",
        "The function `walk` has the return annotation `int`.",
        "walk returns a value of type **int**.",
    ],
    [
        "walk returns str.",
        "It returns an Optional[int].",
        "int or None",
        "`int | None`",
        "list[int]",
        "It prints something.",
        "It does not return int.",
        "walk has no return annotation.",
        "integer-like",
    ],
)
SIGNATURE = Worded(
    question("signature", ["self", "a", "*rest", "**more"], "What are the parameters of walk?"),
    [
        "`walk(self, a, *rest, **more)`",
        "```python\ndef walk(self, a: int = (1), *rest: str, **more) -> int:\n```",
        "- `self`\n- `a` (int): the first\n- `*rest`\n- `**more`",
        "1. self\n2. a: int\n3. *rest\n4. **more",
        "The parameters are `self`, `a`, `*rest`, and `**more`.",
        "| Parameter | Default |\n|---|---|\n| self | |\n| a | (1) |\n| *rest | |\n| **more | |",
        "walk (in a/b.py) takes (self, a, *rest, **more).",
        "Sure! The function `walk` takes these: self, a, *rest, **more. Let me know if that helps.",
        "self, a, *rest, **more",
    ],
    [
        "walk(self, a, *rest)",
        "walk(self, a, rest, more)",
        "walk(a, self, *rest, **more)",
        "- `self`\n- `a`\n- `*rest`",
        "self, a, b, *rest, **more",
        "walk takes no parameters.",
        "walk(self, A, *rest, **more)",
        "1. self\n2. a\n3. b\n4. *rest\n5. **more",
        "The parameters are many (see a/b.py).",
    ],
)
NO_PARAMETERS = Worded(
    question("signature", [], "What are the parameters of walk?"),
    [
        "walk takes no parameters.",
        "`walk()` takes nothing.",
        "None: walk has no arguments.",
        "It does not take any parameters.",
        "def walk() -> None:",
    ],
    ["walk takes (a).", "- a", "a and b", "self"],
)
ABSENT = Worded(
    question("absent", ["missing"], "Where is the class Chimera defined?"),
    [
        "There is no class `Chimera` in this repository.",
        "I couldn't find a class named Chimera.",
        "Chimera is not defined anywhere in the code.",
        "No results: the class Chimera does not exist.",
        "I searched the whole repository and found nothing for `class Chimera`.",
        "The class `Chimera` cannot be found in the current directory.",
        "It seems that Chimera isn't defined here. Could you check the spelling?",
        "**Not found.**",
        "No matches were found for Chimera.",
        "I was unable to find any class called Chimera.",
    ],
    [
        "Chimera is defined in a/b.py line 12.",
        "It is in a/b.py.",
        "I don't know.",
        "I'm not sure where Chimera is defined.",
        "Chimera is, no doubt, defined in the main module.",
        "There is no Chimera, but there is ChimeraBase.",
        "Chimera is defined at line 12.",
        "No class but Chimera is in a/b.py:12.",
        "I cannot answer that without more information.",
        "Yes.",
    ],
)
EMPTY = Worded(
    question("absent", ["empty"], "What is the first line of a/__init__.py?"),
    [
        "a/__init__.py is empty.",
        "The file `a/__init__.py` is empty, so it has no first line.",
        "It has no content.",
        "The file contains nothing.",
        "a/__init__.py has 0 lines.",
        "There is no first line: the file is blank.",
        "The file does not contain any lines.",
    ],
    [
        "There is no file a/__init__.py.",
        "The first line is `import os`.",
        "It is not empty.",
        "I do not know.",
        "The file isn't empty; it begins with a comment.",
    ],
)
OUTSIDE = Worded(
    question("absent", ["outside"], "What is the first line of ../x.py?"),
    [
        "../x.py is outside the repository.",
        "I can't read that: the path lies outside of the repository.",
        "I am not allowed to read ../x.py.",
        "Access to `../x.py` is not permitted.",
        "The tool refused: ../x.py is outside the repository.",
    ],
    [
        "There is no file ../x.py.",
        "The first line is `import os`.",
        "../x.py is empty.",
        "../x.py is not outside the repository.",
    ],
)
BINARY = Worded(
    question("absent", ["binary"], "What is the first line of a.bin?"),
    ["a.bin is a binary file.", "It's binary, so there are no lines to show.", "a.bin is not a text file."],
    ["a.bin is empty.", "There is no a.bin.", "The first line is PK.", "a.bin is not a binary file."],
)
CAPITAL = Worded(
    question("words", ["Paris"], "What is the capital of France?"),
    [
        "Paris",
        "The capital of France is **Paris**.",
        "It's paris, of course!",
        "Paris \u2013 the City of Light.",
        "France's capital city is Paris. Anything else?",
    ],
    ["Lyon", "It is not Paris.", "Parisian", "I do not know.", "The capital of France isn't Paris but Lyon."],
)
WORDED = [
    *(LINES, COUNT, NONE_THERE, SUM, CONSTANT, QUOTED, FIRST, LINE_AT, RETURNS, SIGNATURE, NO_PARAMETERS),
    *(ABSENT, EMPTY, OUTSIDE, BINARY, CAPITAL),
]
