"""Values that were given to a telling name: password, secret, token, key.

Owns the names, the ways in which code, settings, JSON, command lines and sentences give something a value, and what a
value must be like to be taken for a secret. Any mixed word will do for a password; a token or a key must look drawn
at random, since code is full of values that are none; a UUID may name a session without opening it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from distill.redact.likeness import has_sign, is_uuid, path_like, random_like, stands_in
from distill.redact.span import Span

Telling = Literal["password", "secret", "token", "session"]

_NAME = r"""(?P<name>pass(?:word|wd|phrase|code)?|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|token|credential|key|pw
    |identified[ ]by|sess(?:ion)?[_-]?id|session)s?
    (?:[_-]?(?:\d{1,2}|prod|dev|staging|live|test|value|base64|hex|string|plain|raw|old|new|data)(?![a-z]))?"""
_NAME_ENDS = re.compile(_NAME + "$", re.VERBOSE | re.IGNORECASE)
_GIVEN = re.compile(
    _NAME
    + r"""(?: (?P<option>[ ]{1,4})
            | (?P<closed>\\{0,3}["'`])?\]?[ \t]{0,8}
              (?: :[ ]?[A-Za-z_][\w.\[\]| ]{0,40}?[ ]=[ ] | => | := | [:=]={0,2} | !==? | > | (?P<comma>,)
                | [ ](?:is|was)[ :]{1,2} )
              [ \t]{0,8} )
        (?: [rbfuRBFU]{0,2}(?P<quote>\\{0,3}["'`])(?!(?P=quote))(?P<quoted>(?:\\.|[^\\\s]){4,4096}?)(?P=quote)
          | (?P<bare>[^\s"'`,;&|<>(){}\[\]\\]{6,256}+) )""",
    re.VERBOSE | re.IGNORECASE,
)
_OPTION = re.compile(r"--?[A-Za-z][\w-]{0,40}$|--$|\blogin[ ]+\S{1,40}[ ]+$")
_FIRST = re.compile(r"[(\[]\s{0,2}\\{0,3}[\"'`][\w.-]{0,40}$|[\"'`]--[\w-]{0,40}$")  # of what is in brackets
_NO_PASSWORD = ("by", "com", "sur", "tres", "over", "under")  # that "pass" is the end of
_OPENS = re.compile(
    r"(?i:api|secret|access|private|auth|encryption|encrypt|crypto?|cipher|signing|sign|account|master|consumer|app|"
    r"application|service|shared|admin|deploy|webhook|hmac|jwt|subscription|session|security|license|client|storage"
    r")[_\-. ]?$"
    r"|[A-Z0-9](?<!PUBLIC)(?<!PRIMARY)(?<!FOREIGN)(?<!CACHE)(?<!SORT)(?<!PARTITION)_$"
)
_REFERENCE = re.compile(
    r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+$|\w*(?i:pass(?:word|wd|phrase)?|pwd|token|secret|key)s?_?\d{0,2}$"
)
_SETTING = re.compile(r"[ \t]*(?:export[ \t]+|set[ \t]+|ENV[ \t]+)?[A-Z][A-Z0-9_]{0,60}$")
_FIGURE = re.compile(r"[\d._]+(?:[eE][+-]?\d+)?$")
_LONGER = re.compile(r"[^\s\"'`,;&|<>(){}\[\]\\]{0,8192}")
_REST = re.compile(r"\S{0,512}")
_SPACE, _LETTER, _DIGIT = re.compile(r"\s"), re.compile(r"[^\W\d_]"), re.compile(r"\d")


def telling(name: str) -> Telling | None:
    """What a name says of its value; None for one that says nothing."""
    found = _NAME_ENDS.search(name, max(0, len(name) - 40))
    return _tells(name, found.start(), found["name"]) if found else None


def is_secret(kind: Telling, value: str) -> bool:
    """Whether a value that such a name was given, and that was marked off as one, is a secret."""
    if len(value) < 6 or _SPACE.search(value) or "://" in value:
        return False
    if kind == "password":
        likely = value.isdigit() or _mixed_password(value)
    else:
        likely = len(value) >= (8 if kind == "secret" else 12) and random_like(value)
    return likely and not (kind == "session" and is_uuid(value)) and not path_like(value) and not stands_in(value)


def assignment(text: str, at: int) -> Iterator[Span]:
    """The value given to the telling name, or end of a name, that stands at `at`."""
    found = _GIVEN.match(text, at)
    kind = _tells(text, at, found["name"]) if found else None
    if not found or not kind:
        return
    if found["option"] and not (_OPTION.search(text[max(0, at - 56) : at]) or (found["quoted"] and text[at].isupper())):
        return
    if found["comma"] and not (found["closed"] and _FIRST.search(text[max(0, at - 44) : at])):
        return
    if found["quoted"] is not None:
        if is_secret(kind, found["quoted"]):
            yield Span(*found.span("quoted"), contextual=True)
    else:
        yield from _bare(text, found, kind)


def _bare(text: str, found: re.Match[str], kind: Telling) -> Iterator[Span]:
    """Without quotes a value may be code: a name, a call, a reference. Not so in NAME=value on a line of its own."""
    start, end = found.span("bare")
    line = text.rfind("\n", max(0, found.start() - 80), found.start()) + 1
    if text[start - 1] == "=" and _SETTING.match(text[line : found.end("name")]):
        rest = _REST.match(text, start)
        value = rest[0] if rest else ""
        if value[:1] not in "$%<({[" and (is_secret(kind, value) or (kind == "password" and _word(value))):
            yield Span(start, start + len(value), contextual=True)
        return
    value = found["bare"].rstrip(".:")
    if text[end : end + 1] in ("(", "[", "{") or value[:1] in "$%<=:@*-" or _FIGURE.match(value):
        return
    drawn = kind != "password" and _DIGIT.search(value)
    if is_secret(kind, value) and (drawn or not _REFERENCE.match(value)):
        longer = _LONGER.match(text, end)  # its beginning is enough to tell what it is
        yield Span(start, longer.end() if longer and longer[0] else start + len(value), contextual=True)


def _word(value: str) -> bool:
    return len(value) >= 6 and value.isalpha() and not stands_in(value)


def _mixed_password(value: str) -> bool:
    """Letters with digits, or with a sign."""
    return _LETTER.search(value) is not None and (_DIGIT.search(value) is not None or has_sign(value))


def _tells(text: str, at: int, name: str) -> Telling | None:
    """Short names count as words of their own only, and a key only where the name says that it opens something."""
    name, before = name.lower(), text[max(0, at - 16) : at]
    if name == "key":
        return "token" if _OPENS.search(before) else None
    if name == "pass" and before.lower().endswith(_NO_PASSWORD):
        return None
    if name in ("pw", "session") and before[-1:].isalpha():
        return None
    if name.startswith(("pass", "pw", "identified")):
        return "password"
    if name.startswith("sess"):
        return "session"
    return "secret" if name.startswith("secret") else "token"
