"""Search patterns in the syntaxes that tools take: grep's basic and extended ones, fixed text, and `regex`.

`regex` is what most agents' search tools read (Rust, JavaScript, PCRE), as far as grep can look for the same. Owns
reading a pattern in one syntax and writing it in another; matches nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from distill.errors import ToolError

Syntax = Literal["basic", "extended", "fixed", "regex"]
_OPERATORS = frozenset("(){}|+?")
_SPECIAL = frozenset(".*[\\^$]") | _OPERATORS
_BASIC_SPECIAL = frozenset(".*[\\^$")
_SHORT = frozenset("wWsSbBdD<>")  # behind a backslash they are no letters
_MODERN = frozenset("dDt")  # which mean something in `regex` alone
_COUNTED = re.compile(r"\{\d{0,3}(?:,\d{0,3})?\}")
_POSIX = re.compile(r"\[:\w{1,10}:\]")
_INNER = {"w": "[:alnum:]_", "s": "[:space:]", "d": "0-9"}
_BLANKS = {"t": "\t"}


class Part(NamedTuple):
    """`char` is a letter that stands for itself; `sign` means something (`.`, `*`, `^`, `(`, `{2}`); `short` is a
    letter behind a backslash (`\\w`); `set` what stands in square brackets, as `regex` writes it."""

    kind: Literal["char", "sign", "short", "set"]
    text: str


def parts_of(pattern: str, syntax: Syntax) -> tuple[Part, ...]:
    """Raises ToolError where the pattern is damaged or has what grep has not."""
    if syntax == "fixed":
        return tuple(Part("char", letter) for letter in pattern)
    read = [*(_basic(pattern) if syntax == "basic" else _modern(pattern, posix=syntax == "extended"))]
    parts = tuple(_anchored(read)) if syntax == "basic" else tuple(read)
    if any(_repeats(part) and not _can_repeat(parts[at - 1] if at else None) for at, part in enumerate(parts)):
        raise ToolError("the pattern repeats nothing, or what is repeated already")
    return parts


def written(parts: tuple[Part, ...], syntax: Syntax) -> str:
    """Raises ToolError where the syntax cannot say it."""
    if syntax == "fixed":
        if any(part.kind != "char" for part in parts):
            raise ToolError("the pattern is no plain text")
        return "".join(part.text for part in parts)
    if syntax == "basic" and any(_is_inner_anchor(parts, at) for at in range(len(parts))):
        raise ToolError("a basic pattern has '^' and '$' at its ends only")
    return "".join(_written(part, syntax) for part in parts)


def bounded(parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
    """The parts with a word's bounds at those ends that are a letter, digit or "_": what grep's -w adds, but for ends
    that are no part of a word anyway. None where the ends do not show."""
    if not parts or any(part == Part("sign", "|") for part in parts):
        return None
    first, last = parts[0], parts[-1]
    if not (_is_plain(first, "^") and _is_plain(last, "$")):
        return None
    before = (Part("short", "b"),) if _is_word(first) else ()
    after = (Part("short", "b"),) if _is_word(last) else ()
    return (*before, *parts, *after)


def unbounded(parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
    """The parts without their bounds, where grep's -w means just these; else None."""
    bound = Part("short", "b")
    inner = parts[parts[:1] == (bound,) : len(parts) - (parts[-1:] == (bound,))]
    if inner == parts or bounded(inner) != parts:
        return None
    sure = all(_is_word(part) or part.kind == "sign" for part in (inner[0], inner[-1]))
    return inner if sure else None


def _repeats(part: Part) -> bool:
    return part.kind == "sign" and (part.text in "*+?" or part.text.startswith("{"))


def _can_repeat(part: Part | None) -> bool:
    if part is None or _repeats(part):
        return False
    return part.text not in "bB<>" if part.kind == "short" else part.kind != "sign" or part.text in ".)"


def _is_inner_anchor(parts: tuple[Part, ...], at: int) -> bool:
    return (parts[at] == Part("sign", "^") and at > 0) or (parts[at] == Part("sign", "$") and at < len(parts) - 1)


def _is_plain(part: Part, anchor: str) -> bool:
    return part.kind == "char" or part == Part("sign", anchor)


def _is_word(part: Part) -> bool:
    return part.kind == "char" and (part.text.isalnum() or part.text == "_")


def _basic(pattern: str) -> Iterator[Part]:
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == "\\":
            escaped = pattern[at + 1 : at + 2]
            if escaped == "{":
                end = pattern.find("\\}", at)
                yield _counted("{" + pattern[at + 2 : end] + "}" if end > 0 else "")
                at = end + 2
                continue
            yield Part("sign", escaped) if escaped in _OPERATORS and escaped else _escaped(escaped, posix=True)
            at += 2
        elif letter == "[":
            inner, at = _posix_set(pattern, at)
            yield Part("set", inner)
        else:
            yield Part("sign" if letter in ".*^$" else "char", letter)
            at += 1


def _anchored(parts: list[Part]) -> Iterator[Part]:
    """In a basic pattern `^` and `$` stand for themselves inside, and `*` where there is nothing to repeat."""
    for at, part in enumerate(parts):
        before, after = parts[at - 1] if at else None, parts[at + 1] if at + 1 < len(parts) else None
        opens = before is None or before in (Part("sign", "("), Part("sign", "|"))
        closes = after is None or after in (Part("sign", ")"), Part("sign", "|"))
        plain = (
            (part.text == "^" and not opens)
            or (part.text == "$" and not closes)
            or (part.text == "*" and (opens or (before == Part("sign", "^") and at == 1)))
        )
        yield Part("char", part.text) if part.kind == "sign" and plain else part


def _modern(pattern: str, posix: bool) -> Iterator[Part]:
    """An extended pattern, or a `regex`."""
    at, repeated = 0, False
    while at < len(pattern):
        if pattern[at] == "?" and repeated and not posix:
            at, repeated = at + 1, False  # as few as possible: the same lines match
            continue
        part, at = _part_at(pattern, at, posix)
        repeated = _repeats(part)
        yield part


def _part_at(pattern: str, at: int, posix: bool) -> tuple[Part, int]:
    """The part that starts there, and where it is over."""
    letter = pattern[at]
    if letter == "\\":
        return _escaped(pattern[at + 1 : at + 2], posix), at + 2
    if letter == "[":
        inner, end = _posix_set(pattern, at) if posix else _regex_set(pattern, at)
        return Part("set", inner), end
    if letter == "{" and (found := _COUNTED.match(pattern, at)):
        return _counted(found[0]), found.end()
    if letter == "(" and pattern.startswith("(?", at):
        if not pattern.startswith("(?:", at):
            raise ToolError(f"the pattern has {pattern[at : at + 4]!r}, which this search does not know")
        return Part("sign", "("), at + 3
    return Part("sign" if letter in ".*^$()|+?" else "char", letter), at + 1


def _counted(text: str) -> Part:
    if not _COUNTED.fullmatch(text) or text == "{}":
        raise ToolError("the pattern has braces that count nothing")
    return Part("sign", text)


def _escaped(letter: str, posix: bool) -> Part:
    if not letter:
        raise ToolError("the pattern ends with a backslash")
    if posix and letter in _MODERN:
        raise ToolError(f"the pattern has '\\{letter}', which grep takes for a plain {letter!r}")
    if letter in _BLANKS:
        return Part("char", _BLANKS[letter])
    if letter in _SHORT:
        return Part("short", letter)
    if letter.isalnum():
        raise ToolError(f"the pattern has '\\{letter}', which this search does not know")
    return Part("char", letter)


def _posix_set(pattern: str, start: int) -> tuple[str, int]:
    """What stands in the brackets that open there, as `regex` writes it, and where they are over."""
    at = start + 1
    negated = pattern[at : at + 1] == "^"
    at += negated
    items: list[str] = []
    while at < len(pattern) and (pattern[at] != "]" or not items):
        if found := _POSIX.match(pattern, at):
            items.append(found[0])
            at = found.end()
        else:
            items.append("\\" + pattern[at] if pattern[at] in "\\[]^" else pattern[at])
            at += 1
    if at >= len(pattern):
        raise ToolError("the pattern has a '[' without ']'")
    return "^" * negated + "".join(items), at + 1


def _regex_set(pattern: str, start: int) -> tuple[str, int]:
    at = start + 1
    if pattern.startswith("[^]", start) or pattern.startswith("[]", start):
        raise ToolError("the pattern has empty brackets")
    while at < len(pattern) and pattern[at] != "]":
        if found := _POSIX.match(pattern, at):
            at = found.end()
        else:
            at += 2 if pattern[at] == "\\" else 1
    if at >= len(pattern):
        raise ToolError("the pattern has a '[' without ']'")
    inner = pattern[start + 1 : at]
    return inner, at + 1


def _written(part: Part, syntax: Syntax) -> str:
    if part.kind == "char":
        special = _BASIC_SPECIAL if syntax == "basic" else _SPECIAL - {"]"}
        return "\\" + part.text if part.text in special else part.text
    if part.kind == "set":
        return f"[{part.text}]" if syntax == "regex" else f"[{_as_posix(part.text)}]"
    if part.kind == "short":
        return _short(part.text, syntax)
    if syntax == "basic" and part.text[0] in _OPERATORS:
        raise ToolError("a basic pattern cannot say it")
    return part.text


def _short(letter: str, syntax: Syntax) -> str:
    if syntax != "regex" and letter in "dD":
        return "[0-9]" if letter == "d" else "[^0-9]"
    if syntax == "regex" and letter in "<>":
        return "\\b"
    return "\\" + letter


def _as_posix(inner: str) -> str:
    """The inside of brackets in which a backslash stands for itself: `]` comes first and `-` last."""
    negated = inner.startswith("^")
    items: list[str] = []
    ends: set[str] = set()
    at = int(negated)
    while at < len(inner):
        escaped = inner[at] == "\\"
        letter = inner[at + 1 : at + 2] if escaped else inner[at]
        if escaped and letter.isalnum() and letter not in _INNER and letter not in _BLANKS:
            raise ToolError(f"the pattern has '[\\{letter}]', which this search does not know")
        if escaped and letter in "]-^":
            ends.add(letter)
        elif escaped and letter.isalnum():
            items.append(_INNER.get(letter) or _BLANKS[letter])
        else:
            items.append(letter)
        at += 1 + escaped
    before, after = "]" * ("]" in ends), "^" * ("^" in ends) + "-" * ("-" in ends)
    return "^" * negated + before + "".join(items) + after
