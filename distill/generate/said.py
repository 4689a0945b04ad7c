"""What an answer says, whatever it is dressed in: its plain lines, and the names, paths and numbers on them.

Owns taking lists, tables, fences and emphasis off a text, and finding what it claims. Knows nothing of what is right.
Answers are anybody's and may be long: every pattern here takes a time that grows with the text.
"""

from __future__ import annotations

import keyword
import posixpath
import re
from collections.abc import Collection, Iterator

ITEM = "\u2022 "  # begins a line that was an item of a list
_CELL = "\u00a6"  # between cells of a table
_FENCE = re.compile(r"\s*(?:```|~~~)[\w+-]*\s*$")
_MARK = re.compile(r"\s*(?:[-*+>\u2022\u2013]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+|\s*#{1,6}\s+")
_RULE = re.compile(r"\|?[\s:|-]*-[\s:|-]*$")
_BOLD = re.compile(r"\*\*(?=[^\s*])([^*\n]*[^\s*])\*\*(?!\w)")
_LINK = re.compile(r"\[([^\][\n]*)\]\([^()\n]*\)")
_ABBREVIATED = re.compile(r"\b[Nn]o\. ?(?=\d)")
_ESCAPED = re.compile(r"\\([_*`#|])")
_TYPED = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u202f": " "})
_PATHLIKE = re.compile(r"[\w./+~-]+")
_SUFFIX = re.compile(r"\w\.(?:pyi?|pyc|txt|md|rst|toml|json|ya?ml|ini|html|css|js|cfg|typed|sh|bin|png|lock|csv|xml)$")
_THOUSANDS = re.compile(r"(?<![\w,.])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?![\w]|\.\d)")
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_TICKED = re.compile(r"`([\w.]+)(?:\(\)|/)?`")
_CALLED = re.compile(r"(?<=\w)\([^()\n]*\)")
_BRACKETS = re.compile(r" ?\([^()\n]*\)|(?<=\w)\[[^\[\]\n]*\]")
_HEAD = re.compile(
    r"(?:class |def |async def )?[`'\"]*([A-Za-z_][\w.]*)/?[`'\"]*(?=\s*(?:$|[(:,;=\u2192\u2013\u2014-]))"
)
_DECLARED = re.compile(r"\b(?:class|Class) [`'\"]?([A-Z]\w*)|\bdef (\w+)")
_SUBJECT = re.compile(r"(?:^|(?<=[.!?\n]) ?)([A-Z]\w*) (?:also )?(?:subclasses|inherits|extends|derives)\b")
_SENTENCE = re.compile(r"(?<=[.!?:;]) |\n")
_BETWEEN = re.compile(r" ?[,;] (?:and |or |nor )?(?:also )?| (?:and|or|nor|and/or|&) (?:also )?")
_VERBS = frozenset(
    re.findall(
        r"\S+",
        """
are is was were do does subclass subclasses inherit inherits extend extends derive derives import imports
define defines exist exists too also both all
""",
    )
)
_ORDINARY = frozenset(
    re.findall(
        r"\S+",
        """
a all also an and any are as at base bases be besides both but by class classes contains count defined
definition def defines description directory e.g each either entry every extends file files first folder
following for found from function functions has have he hence here however i i.e if import imports in inherits
it its kind let line lines list located lives method methods module name namely neither no none nor not note
number of on one only or other others package parent path python repository respectively result results see so
sure subclass subclasses subfolder such summary that the their them then there these they this those thus to
too total two type which while with yes you and/or inherit together finally again
""",
    )
) | {""}
# `None` is a value, but for "None of them"
_NEGATION = re.compile(r"\b(?:[Nn]o|[Nn]ot|[Nn]ever|none|None of|[Nn]either|nor|[Cc]annot|without)\b|n't\b")
_REST = re.compile(r"\b(?:other|others|else|further|more|additional|besides|only|except|any)\b")
_DECLINES = re.compile(  # that one cannot find something is an answer
    r"\bI(?:'m| am) (?:sorry|unable|not able)\b"
    r"|\bI (?:(?:cannot|can't|can not)(?! (?:find|see))|won't|will not|do not have access|don't have access)\b"
    r"|\bas an AI\b",
    re.IGNORECASE,
)
_BEFORE = 40  # characters in which a value is denied
_DENIED = re.compile(r"(?:\b(?:not|never|neither|nor)|n't|\bno)\s+(?:\w+\s+){0,2}[\"'`(\[]*$", re.IGNORECASE)


def plain(answer: str) -> str:
    """The answer's lines without markup: items begin with ITEM, tables have no heads, enumerations no numbers."""
    lines: list[str] = []
    for raw in answer.translate(_TYPED).splitlines():
        row = raw.strip()
        if _FENCE.match(raw):
            continue
        if row.startswith("|") and _RULE.match(row):
            del lines[-1:]  # the table's head
            continue
        mark = _MARK.match(raw)
        text = raw[mark.end() :] if mark else row
        if row.startswith("|"):
            text = f" {_CELL} ".join(cell.strip() for cell in row.strip("|").split("|"))
        text = _ABBREVIATED.sub("number ", text)
        text = _ESCAPED.sub(r"\1", _LINK.sub(r"\1", _BOLD.sub(r"\1", text)))
        is_item = mark is not None and "#" not in mark[0]
        lines.append((ITEM if is_item else "") + " ".join(text.split()))
    return "\n".join(line for line in lines if line.strip())


def sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text) if part]


def paths(text: str) -> set[str]:
    return {path for path, _ in _paths_in(text)}


def without_paths(text: str) -> str:
    """The text with a space for each path."""
    parts = []
    at = 0
    for _, (start, end) in _paths_in(text):
        parts.append(text[at:start])
        at = end
    return " ".join([*parts, text[at:]])


def _paths_in(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for found in _PATHLIKE.finditer(text):
        word = found[0].rstrip(".-")
        slashed = "/" in word.strip("/") and (word.startswith(("/", "./", "../", "~")) or "_" in word)
        if _SUFFIX.search(word) or slashed:
            yield posixpath.normpath(word), (found.start(), found.start() + len(word))


def known_paths(found: Collection[str], known: Collection[str]) -> set[str]:
    """The paths found, absolute ones as the known ones that they end with."""
    return {next((path for path in known if one.startswith("/") and one.endswith(f"/{path}")), one) for one in found}


def numbers(text: str) -> list[str]:
    """Whole numbers in digits, without the commas of thousands."""
    return _NUMBER.findall(_THOUSANDS.sub(lambda found: found[0].replace(",", ""), text))


def claimed(question: str, text: str, known: Collection[str]) -> set[str]:
    """The names that an answer mentions as if they were right; what was asked about does not count."""
    bare = without_paths(text)
    asked = {word.rstrip(".") for word in _WORD.findall(question)}
    uncalled = _CALLED.sub(lambda found: found[0] if _word_before(bare, found.start()) in asked else "", bare)
    words = {word.rstrip(".") for word in _WORD.findall(uncalled)}
    names = {word for word in words if "_" in word or re.search(r"[a-z0-9][A-Z]", word)}
    names |= {*_TICKED.findall(bare)} - {*keyword.kwlist}
    names |= {first or second for first, second in _DECLARED.findall(bare)}
    names |= {*_bases_of(bare, asked), *_SUBJECT.findall(bare)}
    for line in bare.split("\n"):
        names |= {*_heads(line)}
    for before, sentence in zip(["", *sentences(bare)], sentences(bare), strict=False):
        names |= _listed(sentence, {*known}, alone=before.endswith(":"))
    return {name.rstrip(".") for name in names if name.rstrip(".").lower() not in _ORDINARY} - asked


def declines(answer: str) -> bool:
    """Whether an answer says that one would not, or could not, answer."""
    return _DECLINES.search(answer.translate(_TYPED)) is not None


def denied(question: str, text: str, values: Collection[str]) -> bool:
    """Whether a sentence about one of the values denies it; one may be called Not."""
    named = {word for word in _WORD.findall(question) if not word.islower()}
    any_of = re.compile("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in values) or r"(?!)")
    for sentence in sentences(text):
        rest, times = any_of.subn("", sentence)
        denial = times and (_NEGATION.search(rest) if not _REST.search(rest) else None)
        if denial and denial[0] not in named:
            return True
    return False


def denied_at(text: str, at: int) -> bool:
    """Whether what stands at a place is denied right before it."""
    return _DENIED.search(text[max(0, at - _BEFORE) : at]) is not None


def heads(text: str) -> list[str]:
    """What the items of a list, or the first cells of a table's rows, begin with."""
    items = [line.removeprefix(ITEM) for line in text.split("\n") if line.startswith(ITEM)]
    rows = [line.split(_CELL)[0] for line in text.split("\n") if _CELL in line]
    return items or rows


def _word_before(text: str, at: int) -> str:
    found = re.search(r"\w{1,200}$", text[max(0, at - 200) : at])
    return found[0] if found else ""


def _bases_of(text: str, asked: set[str]) -> Iterator[str]:
    """What stands in the brackets of a class that was asked about: `class Child(Base, Other)`."""
    for found in _CALLED.finditer(text):
        if _word_before(text, found.start()) in asked:
            yield from _WORD.findall(found[0])


def _heads(line: str) -> Iterator[str]:
    """Names that an item begins with, that are all of a cell, or all of a line."""
    if _CELL in line:
        cells = [cell.strip() for cell in line.split(_CELL)]
        yield from (found[1] for cell in cells if (found := _HEAD.match(cell)) and " " not in cell)
    elif found := _HEAD.match(line.removeprefix(ITEM)):
        alone = found.end() == len(line)
        if line.startswith(ITEM) or alone:
            yield found[1]


def _listed(sentence: str, known: set[str], alone: bool) -> set[str]:
    """Names that stand in a row with a known one, or in one of nothing but names behind a colon (`alone`)."""
    bare = _BRACKETS.sub("", _BRACKETS.sub("", sentence.removeprefix(ITEM))).rstrip(".!?:; ")  # one in another
    pieces = [piece.split(" ") for piece in _BETWEEN.split(bare)]
    firsts, lasts = ([_named(piece[at]) for piece in pieces] for at in (0, -1))
    single = [len(piece) == 1 for piece in pieces]
    if alone and all(single):
        return {*firsts}
    chain = {*known}
    for at in range(1, len(pieces)):
        follows = len(pieces[at]) > 1 and pieces[at][1] in _VERBS
        if lasts[at - 1] in chain and (single[at] or follows or not firsts[at].islower()):
            chain.add(firsts[at])
    for at in reversed(range(1, len(pieces))):
        if firsts[at] in chain and (single[at - 1] or not lasts[at - 1].islower()):
            chain.add(lasts[at - 1])
    return chain - known


def _named(word: str) -> str:
    return word.strip("`'\"*.,[]{}()").removesuffix("()")
