"""A line of a shell as pipelines of words, where it is a plain one; nothing else of the language is understood.

Owns quotes, escapes, wildcards, `|`, `&&`, `||`, `;` and redirections of errors. A shell's own reading is followed for
what sh, bash and zsh read alike; whatever one of them would expand, substitute or run is not understood. Own code,
because `shlex` does not tell a quoted `|` from a pipe or `"$(x)"` from text, and parsers of the whole language
(bashlex, tree-sitter-bash) leave it to their user to know every construct that must be refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 1000  # characters of a line
_SPACE = re.compile(" +")
_JOINT = re.compile(r"&&|\|\|?(?!&)|;(?!;)")
_ERRORS = re.compile(r"2>(?:&1|[ ]?/dev/null)(?![^ |&;])")
_BARE = re.compile(r"[\w./:,=@%+^\-*?\[\]]+|(?<=[\w^])~(?=[\d^ ]|$)|\{\}(?![^ ])|!(?= )")
_ESCAPED = re.compile(r"\\([^\n\w])")
_SINGLE = re.compile(r"'([^'\n]*)'")
_DOUBLE = re.compile(r'"((?:[^"\\$`\n]|\\[^\n`]|\$(?=[" |)]))*)"')
_KEPT = re.compile(r'\\([\\"$])')
_WILD = re.compile(r"[*?\[]")
_UNLIKE = re.compile(r"\*\*|\[[\^!]")  # shells differ


@dataclass(frozen=True)
class Word:
    """`text` is what a program is given, `raw` how the line has it; `wild`: the shell puts names of files there."""

    text: str
    raw: str
    wild: bool = False


Stage = tuple[Word, ...]


@dataclass(frozen=True)
class Parsed:
    """`text` is the line without its redirections of errors, `pipelines` what it is made of."""

    text: str
    pipelines: tuple[tuple[Stage, ...], ...]


def parse(line: str) -> Parsed | None:
    """What a line is made of; None where it is not understood."""
    line = line.strip()
    if len(line) > _LONGEST or not line.isprintable():
        return None
    tokens = _tokens(line)
    if not tokens:
        return None
    pipelines: list[list[list[Word]]] = [[[]]]
    for token in tokens:
        if isinstance(token, Word):
            pipelines[-1][-1].append(token)
        elif not pipelines[-1][-1]:
            return None
        elif token == "|":
            pipelines[-1].append([])
        else:
            pipelines.append([[]])
    if not pipelines[-1][-1]:
        return None
    text = " ".join(token.raw if isinstance(token, Word) else token for token in tokens)
    return Parsed(text, tuple(tuple(tuple(stage) for stage in stages) for stages in pipelines))


def _tokens(line: str) -> list[Word | str] | None:
    """Words, and the signs that join them."""
    tokens: list[Word | str] = []
    at = 0
    while at < len(line):
        if found := _SPACE.match(line, at) or _ERRORS.match(line, at):
            at = found.end()
        elif found := _JOINT.match(line, at):
            tokens.append(found[0])
            at = found.end()
        else:
            word = _word(line, at)
            if word is None:
                return None
            tokens.append(word)
            at += len(word.raw)
    return tokens


def _word(line: str, start: int) -> Word | None:
    """The word that starts there; None where what stands there is none."""
    text, wild, at = "", False, start
    while at < len(line) and line[at] not in " |&;":
        if found := _BARE.match(line, at):
            if _UNLIKE.search(found[0]):
                return None
            wild = wild or _WILD.search(found[0]) is not None
            text += found[0]
        elif found := _ESCAPED.match(line, at) or _SINGLE.match(line, at):
            text += found[1]
        elif found := _DOUBLE.match(line, at):
            text += _KEPT.sub(r"\1", found[1])
        else:
            return None
        at = found.end()
    return Word(text, line[start:at], wild) if at > start else None
