"""Tokens and keys that say themselves what they are: by a vendor's beginning, or by the lines around a private key.

Owns how they are told from stand-ins; the table of beginnings is in `vendors`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from distill.redact.likeness import begins, is_placeholder, main_stretch, mixed, random_like, stands_in
from distill.redact.span import Span
from distill.redact.vendors import TOKENS

KEY_BEGINS = "-----BEGIN "
_KEY_HEAD = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BYTES = 32768  # no private key is longer
_WORD = re.compile(r"\\[nrt]|[A-Za-z][A-Za-z-]{2,30}: [^\n\\]{0,200}|(?P<word>[A-Za-z0-9+/]{2,}+={0,2})")
_KEY_LINES = re.compile(r"(?:(?:\\[nrt]|[\s\"'>|,+])*+[A-Za-z0-9+/]{16,}+={0,2})*+")
_BESIDE = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")
_NEAR = 160  # characters behind an access key id in which its secret is looked for

Finder = Callable[[str, int], Iterator[Span]]


def token_finders() -> dict[str, Finder]:
    """For each beginning what looks at the place where it stands."""
    finders: dict[str, Finder] = {}
    for prefixes, rest in TOKENS:
        pattern = re.compile(rest + r"(?![A-Za-z0-9])")
        for prefix in prefixes.split():
            finders[prefix] = _finder(prefix, pattern)
    return finders


def _finder(prefix: str, pattern: re.Pattern[str]) -> Finder:
    def find(text: str, at: int) -> Iterator[Span]:
        found = pattern.match(text, at + len(prefix)) if begins(text, at) else None
        if not found:
            return
        body = found[0].rstrip(".-_")
        if stands_in(prefix + body) or not _drawn(body):
            return
        yield Span(at, found.start() + len(body))
        if prefix in ("AKIA", "ASIA"):
            yield from _secret_beside(text, found.end())

    return find


def _drawn(body: str) -> bool:
    """Whether what follows a beginning was drawn and not put together from words: "sk-" begins names of styles too."""
    return body.isupper() or (mixed(body) and (len(main_stretch(body)[1]) >= 20 or random_like(body)))


def _secret_beside(text: str, at: int) -> Iterator[Span]:
    """The secret that belongs to an access key id, in the same line of a table or the next of a file."""
    for found in _BESIDE.finditer(text, at, at + _NEAR):
        if mixed(found[0]) and random_like(found[0]) and not stands_in(found[0]):
            yield Span(*found.span(), contextual=True)
            return


def private_key(text: str, at: int) -> Iterator[Span]:
    """The words of a private key in text form, its lines ended by line ends or by those as strings write them. One
    whose end was cut off goes as far as its lines do."""
    head = _KEY_HEAD.match(text, at)
    if not head:
        return
    end = text.find("-----END", head.end(), head.end() + _KEY_BYTES)
    if end < 0:
        lines = _KEY_LINES.match(text, head.end(), head.end() + _KEY_BYTES)
        end = lines.end() if lines else head.end()
    words = [word for word in _WORD.finditer(text, head.end(), end) if word["word"]]
    if not words or not _is_key([word[0] for word in words]):
        return
    for number, word in enumerate(words):
        yield Span(*word.span(), contextual=len(word[0]) >= 20, follows=number > 0)


def _is_key(words: list[str]) -> bool:
    """Whether the words between the lines are a key's; code that reads or writes keys has words there too."""
    long = sum(len(word) for word in words if len(word) >= 16)
    longest = max(words, key=len)
    return long >= 40 and long >= 0.8 * sum(map(len, words)) and mixed(longest) and not is_placeholder(longest)
