"""What the tokens of a draft are for: deciding between words and a call, naming a function, giving its arguments.

Owns how tokens are told apart by where their characters stand in what the model wrote. Knows nothing of probabilities.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from router.chat import TokenLogprob, ToolCall

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BARE = re.compile(r"(?<![\w\"])(?:-?\d[\d.eE+-]*|true|false|null)(?![\w\"])")
_COLON = re.compile(r"\s*:")


class Parts(msgspec.Struct, frozen=True):
    """Numbers of tokens: of the first one, which decides what the answer is; of functions' names; of the values of
    arguments. Without calls there are neither names nor values."""

    first: int
    names: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


def parts(tokens: Sequence[TokenLogprob], calls: Sequence[ToolCall]) -> Parts:
    """Tokens by what they are for; one that spans two parts belongs to both. Where no call can be found in the text,
    since the model wrote it in another form, all tokens count as values."""
    text = "".join(token.token for token in tokens)
    ends = list(accumulate(len(token.token) for token in tokens))
    names: set[int] = set()
    values: set[int] = set()
    at = 0
    for number, call in enumerate(calls):
        name = call.function.name
        start = text.find(name, at)
        if start < 0:
            continue
        names.update(_between(ends, start, start + len(name)))
        at = start + len(name)
        following = text.find(calls[number + 1].function.name, at) if number + 1 < len(calls) else -1
        stop = following if following > 0 else len(text)
        begin = max(at, text.find("{", at, stop))
        values.update(token for span in _values(text, begin, stop) for token in _between(ends, *span))
    if calls and not names:
        values = set(range(len(tokens)))
    return Parts(_first(tokens), tuple(sorted(names)), tuple(sorted(values)))


def _first(tokens: Sequence[TokenLogprob]) -> int:
    return next((number for number, token in enumerate(tokens) if token.token.strip()), 0)


def _values(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Where strings that are no keys stand, without the first quotation mark, and bare values."""
    found, outside, at = [], [], start
    for match in _STRING.finditer(text, start, stop):
        outside.append((at, match.start()))
        at = match.end()
        if not _COLON.match(text, match.end()):
            found.append((match.start() + 1, match.end()))
    outside.append((at, stop))
    for begin, end in outside:
        found += [match.span() for match in _BARE.finditer(text, begin, end)]
    return found


def _between(ends: Sequence[int], start: int, stop: int) -> range:
    """The numbers of the tokens that hold characters from `start` to before `stop`."""
    return range(bisect_right(ends, start), min(len(ends), bisect_right(ends, stop - 1) + 1))
