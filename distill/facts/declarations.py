"""What a file in another language than Python declares, by tree-sitter.

Owns how matches of a grammar's query become declarations: names, owners, bases, parameters. Knows nothing of folders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tree_sitter import Node, Parser, Point, QueryCursor

from distill.facts.grammars import grammar
from distill.facts.records import Declaration, Passed

_TYPES = frozenset({"class", "struct", "union", "interface", "trait", "enum", "module", "impl", "record", "annotation"})
_PARTS = frozenset({"name", "parameters", "owner", "base"})
_BLOCK = 1 << 16
_NAMELESS = "_"  # a parameter that has a type alone
_NAMED_BY = ("pattern", "left", "declarator", "name")  # the fields that hold a parameter's name
_NO_PARAMETER = frozenset({"comment", "line_comment", "block_comment", "attribute_item", "receiver_parameter"})


def read_declarations(path: str, language: str, content: bytes) -> list[Declaration] | Passed:
    """What a source declares, in its order; `language` is one of GRAMMARS. Of a file that is not valid nothing is told:
    what a parser makes of it is a guess."""
    root = _parsed(language, content)
    if root is None:
        return Passed.NOT_PARSED
    found = _found(root, language)
    open_ones: list[_Found] = []
    for one in found:
        while open_ones and open_ones[-1].node.end_byte <= one.node.start_byte:
            open_ones.pop()
        around = open_ones[-1] if open_ones else None
        if around is not None and around.kind in _TYPES:
            if one.kind == "base":
                around.bases.append(_plain(one.node))
            one.owner = one.owner or around.name
        if one.kind not in ("base", "import"):
            open_ones.append(one)
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


@dataclass
class _Found:
    """A declaration, or a base of the one around it."""

    kind: str
    node: Node
    name: str = ""
    line: int = 0
    owner: str = ""
    parameters: tuple[str, ...] = ()
    bases: list[str] = field(default_factory=list)

    def declaration(self, path: str, language: str) -> Declaration:
        kind = "method" if self.kind == "function" and self.owner else self.kind
        end = self.node.end_point
        lines = end.row + (2 if end.column else 1) - self.line  # some nodes end where the next line begins
        bases = tuple(dict.fromkeys(self.bases))
        return Declaration(kind, self.name, path, self.line, language, self.owner, bases, self.parameters, lines)


def _found(root: Node, language: str) -> list[_Found]:
    """All matches, what is around others before them."""
    found: dict[tuple[int, int, str], _Found] = {}
    for _, captures in QueryCursor(grammar(language)[1]).matches(root):
        one = _of(captures)
        found.setdefault((one.node.start_byte, -one.node.end_byte, one.kind), one)
    return [found[key] for key in sorted(found)]


def _of(captures: dict[str, list[Node]]) -> _Found:
    if "base" in captures:
        return _Found("base", captures["base"][0])
    kind = next(name for name in captures if name not in _PARTS and not name.startswith("_"))
    one = _Found(kind, captures[kind][0])
    if "name" in captures:
        name = captures["name"][0]
        one.name, one.line = _name(kind, name), name.start_point.row + 1
    if "owner" in captures:
        one.owner = _text(captures["owner"][0])
    if "parameters" in captures:
        one.parameters = tuple(_parameters(captures["parameters"][0]))
    return one


def _text(node: Node) -> str:
    return " ".join((node.text or b"").decode(errors="replace").split())


def _name(kind: str, node: Node) -> str:
    if kind == "import":
        return _text(node).strip("\"'`<>")
    return _plain(node)


def _plain(node: Node) -> str:
    """A type by its name, without what stands in its brackets and without a pointer's star."""
    return re.split(r"[<\[(]", _text(node).lstrip("*&"), maxsplit=1)[0].strip()


def _parameters(node: Node) -> list[str]:
    if node.type == "identifier":  # of an arrow function with one
        return [_text(node)]
    given = [one for one in node.named_children if one.type not in _NO_PARAMETER]
    if [_text(one) for one in given] == ["void"]:  # C's way to say that there are none
        return []
    return [name for one in given for name in _names(one)]


def _names(node: Node) -> list[str]:
    """The names that a parameter is called by: several where they share a type."""
    for part in _NAMED_BY:
        if named := node.children_by_field_name(part):
            return [name for one in named for name in _names(one)]
    if node.type == "self_parameter":
        return ["self"]
    inner = [one for one in node.named_children if "declarator" in one.type or one.type == "identifier"]
    if inner and node.type not in ("object_pattern", "array_pattern", "tuple_pattern"):
        return _names(inner[0])
    return [_NAMELESS if node.child_by_field_name("type") else _text(node).lstrip("*&")]
