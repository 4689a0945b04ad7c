"""What a file in another language than Python declares, by tree-sitter.

Owns how matches of a grammar's query become declarations: names, owners, bases, parameters. Knows nothing of folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node, Parser, Point, QueryCursor

from distill.facts.grammars import IMPORTING, grammar
from distill.facts.records import Declaration, Passed

_TYPES = frozenset({"class", "struct", "union", "interface", "trait", "enum", "module", "impl", "record", "annotation"})
_PARTS = frozenset({"name", "parameters", "owner", "base", "called"})
_BLOCK = 1 << 14
_NAMELESS = "_"  # a parameter that has a type alone
_NAMED_BY = ("pattern", "left", "declarator", "name")  # the fields that hold a parameter's name
_NO_PARAMETER = frozenset({"comment", "line_comment", "block_comment", "attribute_item", "receiver_parameter"})
_PATTERNS = frozenset({"object_pattern", "array_pattern", "tuple_pattern"})

_Captures = dict[str, list[Node]]


def read_declarations(path: str, language: str, content: bytes) -> list[Declaration] | Passed:
    """What a source declares, in its order; `language` is one of GRAMMARS. Of a file that is not valid nothing is told:
    what a parser makes of it is a guess."""
    root = _parsed(language, content)
    if root is None:
        return Passed.NOT_PARSED
    found = [_Found(content, captures) for captures in _matches(root, language)]
    around: list[_Found] = []
    for one in found:
        while around and around[-1].node.end_byte <= one.node.start_byte:
            around.pop()
        if around:
            one.place(around[-1])
        if one.kind not in ("base", "import"):
            around.append(one)
    return [one.declaration(path, language) for one in found if one.name]


def _parsed(language: str, content: bytes) -> Node | None:
    parser = Parser(grammar(language)[0])

    def read(offset: int, _: Point) -> bytes:
        return content[offset : offset + _BLOCK]

    def is_hopeless(_: int, has_error: bool) -> bool:
        return has_error  # to recover from errors may take long, and for nothing

    try:
        root = parser.parse(read, progress_callback=is_hopeless).root_node
    except ValueError:
        return None
    return None if root.has_error else root


def _matches(root: Node, language: str) -> list[_Captures]:
    """What a query finds, each once, in the order of the source, and what is around others before them."""
    found: dict[tuple[int, int, str], _Captures] = {}
    for _, captures in QueryCursor(grammar(language)[1]).matches(root):
        kind = _kind(captures)
        node = captures[kind][0]
        found.setdefault((node.start_byte, -node.end_byte, kind), captures)
    return [found[key] for key in sorted(found)]


def _kind(captures: _Captures) -> str:
    return next((name for name in captures if name not in _PARTS), "base")


class _Found:
    """A declaration, or the base of one. Texts are cut from the source: `Node.text` would ask the function that gave
    the parser its source again."""

    def __init__(self, content: bytes, captures: _Captures) -> None:
        self._content = content
        self.kind = _kind(captures)
        self.node = captures[self.kind][0]
        self.bases: list[str] = []
        self.name = self.owner = ""
        self._line = 0
        self._parameters: tuple[str, ...] = ()
        if "name" in captures and self._is_import_if_called(captures):
            name = captures["name"][0]
            self.name = self._text(name).strip("\"'`<>") if self.kind == "import" else self.plain(name)
            self._line = name.start_point.row + 1
        if "owner" in captures:
            self.owner = self._text(captures["owner"][0])
        if "parameters" in captures:
            self._parameters = tuple(self._names_in(captures["parameters"][0]))

    def place(self, around: _Found) -> None:
        """Take what is around it for its owner, if that is a type."""
        if around.kind not in _TYPES:
            return
        if self.kind == "base":
            around.bases.append(self.plain(self.node))
        self.owner = self.owner or around.name

    def declaration(self, path: str, language: str) -> Declaration:
        kind = "method" if self.kind == "function" and self.owner else self.kind
        end = self.node.end_point
        lines = end.row + (2 if end.column else 1) - self._line  # some nodes end where the next line begins
        bases = tuple(dict.fromkeys(self.bases))
        return Declaration(kind, self.name, path, self._line, language, self.owner, bases, self._parameters, lines)

    def plain(self, node: Node) -> str:
        """A type by its name, without what stands in its brackets and without a pointer's star."""
        return re.split(r"[<\[(]", self._text(node).lstrip("*&"), maxsplit=1)[0].strip()

    def _is_import_if_called(self, captures: _Captures) -> bool:
        return all(self._bytes(node) in IMPORTING for node in captures.get("called", ()))

    def _bytes(self, node: Node) -> bytes:
        return self._content[node.start_byte : node.end_byte]

    def _text(self, node: Node) -> str:
        return " ".join(self._bytes(node).decode(errors="replace").split())

    def _names_in(self, parameters: Node) -> Iterator[str]:
        if parameters.type == "identifier":  # of an arrow function with one
            yield self._text(parameters)
            return
        given = [one for one in parameters.named_children if one.type not in _NO_PARAMETER]
        if [self._text(one) for one in given] != ["void"]:  # C's way to say that there are none
            for one in given:
                yield from self._names_of(one)

    def _names_of(self, node: Node) -> Iterator[str]:
        """The names that a parameter is called by: several where they share a type."""
        while node.type not in _PATTERNS and (inner := _named(node)):  # no recursion: brackets may be many
            *others, node = inner
            for other in others:
                yield self._text(other)
        if node.type == "self_parameter":
            yield "self"
        elif node.child_by_field_name("type"):
            yield _NAMELESS
        else:
            yield self._text(node)


def _named(node: Node) -> list[Node]:
    """What in a parameter, or in a part of one, holds its name."""
    for field in _NAMED_BY:
        if named := node.children_by_field_name(field):
            return named
    return [one for one in node.named_children if one.type == "identifier" or "declarator" in one.type][:1]
