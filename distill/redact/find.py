"""Where the secrets and personal data of a text are: all rules, run over it in one pass.

Owns the literal beginnings at which each rule is asked, so that a text in which nothing telling stands costs one search
for all of them. Knows nothing of what is put in their place.
"""

from __future__ import annotations

import re

from distill.redact import context, personal, tokens
from distill.redact.assigned import assignment, is_secret, telling
from distill.redact.literals import Literals
from distill.redact.numbers import numbers
from distill.redact.span import Span, disjoint

_SHORTEST = 6  # characters of the shortest secret
_OPAQUE = 1024  # characters from which a text of one word is taken for encoded bytes
_DATA_URL = re.compile(r"data:[\w.+-]{0,64}/?[\w.+-]{0,64}(?:;[\w=.+-]{1,64}){0,4}?;base64,")
_DIVIDES = tuple(" \n\t\"'_-@:.,")
_SAYS = re.compile(r"pass|pw|secret|token|key|credential|sess|auth|ssn|social|phone|mobile|tel|fax", re.IGNORECASE)

_WORDS: dict[str, tokens.Finder] = {
    **dict.fromkeys(("pass", "secret", "token", "key", "credential", "pw", "sess", "identified by"), assignment),
    "authorization": context.authorization,
    "bearer ": context.bearer,
    "basic ": context.basic,
    **dict.fromkeys(("ssn", "social"), context.social_security),
    **dict.fromkeys(("phone", "mobile", "tel", "fax"), context.phone),
}
_FINDERS: dict[str, tokens.Finder] = {
    **tokens.token_finders(),
    **{spelled: finder for word, finder in _WORDS.items() for spelled in (word, word.capitalize(), word.upper())},
    tokens.KEY_BEGINS: tokens.private_key,
    '"auth"': context.basic,
    "://": context.credentials,
    **dict.fromkeys((" -u ", " --user "), context.user_option),
    "@": personal.email,
    **dict.fromkeys(("/home/", "/Users/"), personal.home),
    **dict.fromkeys(("Users\\", "users\\"), personal.windows_home),
}
_BEGINNINGS = Literals(list(_FINDERS))
_ASKED = list(_FINDERS.values())


def find(text: str) -> list[Span]:
    """What has to go from a text, from left to right, without overlap."""
    if len(text) < _SHORTEST or _is_opaque(text):
        return []
    found = [span for number, start, _ in _BEGINNINGS.find(text) for span in _ASKED[number](text, start)]
    found.extend(numbers(text))
    return disjoint(found) if found else []


def says(name: str) -> bool:
    """Whether a name could tell of its value."""
    return _SAYS.search(name) is not None


def find_beside(name: str, value: str) -> list[Span]:
    """What has to go from a value that stands under a name, as in JSON, where the name may tell."""
    if not says(name):
        return find(value)
    kind = telling(name)
    if kind and is_secret(kind, value):
        return [Span(0, len(value), contextual=True)]
    before = len(name) + 2
    spans = [span for span in find(f"{name}: {value}") if span.start >= before]
    return [Span(span.start - before, span.end - before, span.contextual, span.instead, span.follows) for span in spans]


def _is_opaque(text: str) -> bool:
    """Whether a text is a picture or the like: one long word in base64, as it is or as a data URL."""
    if len(text) < _OPAQUE:
        return False
    head = _DATA_URL.match(text)
    start = head.end() if head else 0
    return not any(text.find(divider, start) >= 0 for divider in _DIVIDES) and text.find("=", start) in (
        -1, len(text) - 1, len(text) - 2
    )  # fmt: skip
