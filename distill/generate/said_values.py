"""What an answer says of places, numbers in words, and parameters. `said` has the rest. Knows nothing of what is right.

As there, every pattern takes a time that grows with the text, and nothing long is parsed.
"""

from __future__ import annotations

import ast
import re

from distill.generate.said import ITEM, heads, numbers, paths

_BEHIND = re.compile(r"(?<=\w):(\d+):[^\n]*")  # what a search shows: path, line, and the line's text
_ANCHOR = re.compile(r"(?<=\w)(?::|#L)(\d+)(?::\d+)?")
_LETTER = re.compile(r"\bL(\d+)\b")
_RANGE = re.compile(r"\b(\d+) ?(?:-|\u2013|\u2014|to|through) ?L?\d+\b")
_COUNT = re.compile(r"\b(\w+) (?:places?|definitions?|functions?|files?|times|matches|results|occurrences)\b")
_TOKEN = re.compile(r"[\w./+~-]+")
_SMALL = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_IN_WORDS = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(_SMALL[1:10])}))?|(?P<small>{'|'.join(_SMALL)}))\b",
    re.IGNORECASE,
)
_LOOSE = (
    "about|around|roughly|approximately|nearly|almost|over|more than|less than|fewer than|at least|at most|up to|no"
)
_NONE = re.compile(
    r"\bno (?:parameters|arguments)\b|\bnothing\b|\bany (?:parameters|arguments)\b|\bzero (?:parameters|arguments)\b",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"[`\"']*(\*{0,2}[A-Za-z_]\w*)")
_LONGEST = 2000  # characters of a list of parameters
_MOST = 50  # brackets that are looked into


def places(text: str, most: int) -> set[tuple[str, str]]:
    """Paths with the line numbers that are said of them: those behind a path, or those before it where a number comes
    first. A number of places that is not `most` is taken for a line."""
    shown = _ANCHOR.sub(r" \1 ", _BEHIND.sub(r" \1 ", text))
    shown = _RANGE.sub(r"\1", _LETTER.sub(r"\1", shown))
    shown = _COUNT.sub(lambda found: "" if _value(found[1]) in (None, str(most)) else found[0], shown)
    tokens: list[tuple[str, str]] = []  # a path or a number, the other one empty
    for found in _TOKEN.finditer(shown):
        whole = [*paths(found[0])]
        tokens += [(path, "") for path in whole] or [("", number) for number in numbers(found[0])]
    if tokens and not tokens[0][0]:  # then each path has the numbers before it
        tokens.reverse()
    pairs = set()
    last = ""
    for path, number in tokens:
        last = path or last
        if number:
            pairs.add((last, number))
    lined = {path for path, _ in pairs}
    return pairs | {(path, "") for path, _ in tokens if path and path not in lined}


def number_words(text: str) -> list[str]:
    """Numbers below a hundred that are written in words, in digits."""
    found = []
    for match in _IN_WORDS.finditer(text):
        small, tens, ones = (match[name].lower() if match[name] else "" for name in ("small", "tens", "ones"))
        value = _SMALL.index(small) if small else 10 * (_TENS.index(tens) + 2) + (_SMALL.index(ones) if ones else 0)
        found.append(str(value))
    return found


def inexact(text: str, number: str) -> bool:
    """Whether a number is said to be more or less so, or not so."""
    digits = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    form = rf"(?:\b(?:{_LOOSE})\s|[~\u2248>]\s?|\bnot (?:\w+ ){{0,2}}|n't (?:\w+ ){{0,2}}){number}\b|\b{number}\+"
    return re.search(form, digits, re.IGNORECASE) is not None


def parameter_names(question: str, text: str) -> list[str]:
    """Parameter names in order: of a signature of what was asked about, of a list, of any signature, or of a row."""
    asked = {*re.findall(r"\w+", question)}
    grouped = _groups(text)
    for name, names in grouped:
        if name in asked and names is not None:
            return names
    listed = [found[1] for head in heads(text) if (found := _PARAMETER.match(head))]
    if listed:
        return listed
    for name, names in grouped:
        if not name and names:
            return names
    if _NONE.search(text):
        return []
    return _row(text)


def _groups(text: str) -> list[tuple[str, list[str] | None]]:
    """The word right before each bracket, and the parameters in it; None where it holds something else."""
    found = []
    for match in list(re.finditer(r"(\w{0,100})\(", text[: 50 * _LONGEST]))[:_MOST]:
        end = _closing(text, match.end())
        found.append((match[1], None if end is None else _parsed(text[match.end() : end])))
    return found


def _closing(text: str, at: int) -> int | None:
    """Where the bracket ends that begins right before a place."""
    depth = 1
    for place in range(at, min(len(text), at + _LONGEST)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None


def _parsed(inside: str) -> list[str] | None:
    try:
        head = ast.parse(f"def f({inside}): ...").body[0]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return _names_of(head.args) if isinstance(head, ast.FunctionDef) else None


def _names_of(arguments: ast.arguments) -> list[str]:
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args]]
    names += ["*" + arguments.vararg.arg] if arguments.vararg else []
    names += [a.arg for a in arguments.kwonlyargs]
    return names + (["**" + arguments.kwarg.arg] if arguments.kwarg else [])


def _row(text: str) -> list[str]:
    """The names of the first row that has commas or an "and"; else what stands behind the last colon or verb."""
    bare = re.sub(r" ?\([^()\n]*\)", "", text.replace(ITEM, ""))
    row = next((part for part in re.split(r"[:.\n] ?|\n", bare) if "," in part), "")
    row = row or re.split(r"[:\n]", bare)[-1]
    verbs = list(re.finditer(r"\b(?:takes|are|is|accepts|has)\b", row))
    words = row[verbs[-1].end() :] if verbs else row
    return [word for word in re.findall(r"\*{0,2}[A-Za-z_]\w*", words) if word not in ("and", "the", "only")]


def _value(word: str) -> str | None:
    """A number in digits or words; None for any other word."""
    return word if word.isdigit() else next(iter(number_words(word)), None)
