"""Agreement: whether two answers of the teacher to the same request do the same.

Owns what is compared of calls, words and code. Pure; knows nothing of traces or of what follows from it. Words that are
alike do not show that either answer is right, only that the teacher stands by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from itertools import islice
from typing import Any

from distill.filters.editing import Desk, changed_lines, desk_of
from distill.filters.names import names_in, stands_in
from distill.trajectory import call_key
from router.chat import AnswerMessage, ChatRequest, Message

_ALIKE = 0.6  # F1 of what two answers name, for them to say the same
_FEWEST = 2  # samples that make an agreement
_COUNTS = {word: str(number) for number, word in enumerate(("zero", "one", "two", "three", "four", "five", "six"))}
_COUNTS |= {word: str(number) for number, word in enumerate(("seven", "eight", "nine", "ten", "eleven", "twelve"), 7)}
_BULLET = re.compile(r"^\s{0,10}\d{1,3}[.)]\s", re.MULTILINE)  # numbers a list, and counts nothing
_NUMBER = re.compile(r"(?<![\w./:#-])\d{1,9}(?![\w/]|[.:-]\w)")
_WORD = re.compile(r"[^\W\d_]+")
_NAME = re.compile(r"\w+")  # perhaps without the marks that an answer puts around it
_MOST = 300  # names of one answer that are compared
_SHORT = 3  # letters of words that say little
_VERDICTS = ("yes", "no")


def agreement(
    said: Message, samples: Sequence[AnswerMessage], asked: str = "", request: ChatRequest | None = None
) -> float | None:
    """The share of the teacher's other samples that agree with what it said; None where there are too few. What stands
    in `asked`, the question, is in every answer and counts for nothing; the `request` tells of files to edit."""
    if len(samples) < _FEWEST:
        return None
    desk = desk_of(request)
    return sum(agree(said, sample, asked, desk) for sample in samples) / len(samples)


def agree(one: Message | AnswerMessage, other: AnswerMessage, asked: str = "", desk: Desk | None = None) -> bool:
    """Whether two answers do the same: the same calls, edits that change the same lines, or words that name and count
    the same things."""
    calls = [{call_key(call) for call in said.tool_calls or ()} for said in (one, other)]
    if any(calls):
        return calls[0] == calls[1]
    texts = one.text if isinstance(one, Message) else one.content or "", other.content or ""
    changes = [changed_lines(text, desk or Desk()) for text in texts]
    if any(changes):
        return all(changes) and _alike(*changes)
    return _say_the_same(*texts, asked)


def _say_the_same(one: str, other: str, asked: str) -> bool:
    """Not yes and no, not other numbers, and the same names; words decide where one of the two names nothing."""
    if {_verdict(one), _verdict(other)} == {*_VERDICTS}:
        return False
    numbers = _numbers(one), _numbers(other)
    if all(numbers) and not _alike(*numbers):
        return False
    known = {*islice(names_in(asked), _MOST), *_NAME.findall(asked)}
    mine, theirs = ({*islice(names_in(text), _MOST)} - known for text in (one, other))
    if mine and theirs:
        return _met(mine, theirs, other) + _met(theirs, mine, one) >= _ALIKE * (len(mine) + len(theirs))
    words = _words(asked)
    return _alike((_words(one) | mine) - words, (_words(other) | theirs) - words)


def _met(names: Set[str], others: Set[str], text: str) -> int:
    """How many of the names the other answer has, perhaps without marks, or as a path from another folder."""
    return sum(stands_in(name, text) or any(_same(name, known) for known in others) for name in names)


def _same(one: str, other: str) -> bool:
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def _alike(one: Set[Any], other: Set[Any]) -> bool:
    return 2 * len(one & other) >= _ALIKE * (len(one) + len(other))


def _verdict(text: str) -> str:
    found = _WORD.search(text)
    return found[0].lower() if found and not text[: found.start()].strip() else ""


def _numbers(text: str) -> set[str]:
    """What the text counts, in figures; places such as `a.py:12` are none."""
    plain = _BULLET.sub("", text)
    told = {_COUNTS[word] for word in _WORD.findall(plain.lower()) if word in _COUNTS and word not in ("zero", "one")}
    return told | {*_NUMBER.findall(plain)}


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.lower()) if len(word) > _SHORT or word in _VERDICTS}
