"""What is known of a repository: files, what its code declares, and what was passed over.

Owns the records and what their fields mean. Knows nothing of how they are found. Facts refer to nothing that could
refer to them: the collector of cycles need not look at a million of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Passed(StrEnum):
    """Why a file or folder says nothing."""

    TOO_LARGE = "larger than a file may be"
    UNREADABLE = "cannot be read"
    SPECIAL = "no plain file"
    CHANGED = "changed while it was read"
    ODD_NAME = "its name is no UTF-8"
    NOT_PARSED = "is not valid in its language"
    RUNAWAY = "takes its parser too long, or crashes it"
    LINE_ENDS = "has carriage returns that end lines for Python and for no other tool"
    FILES = "beyond the limit of files"
    BYTES = "beyond the limit of bytes"
    FOLDERS = "a folder beyond the limit of entries"


class FileFact(msgspec.Struct, frozen=True, gc=False):
    """`size` in bytes; `lines` counts line ends, as `wc -l` does; `first` is the first line without its end;
    `language` is told by the name alone and empty where it is not known."""

    path: str
    size: int
    lines: int
    first: str
    binary: bool = False
    language: str = ""


class ClassFact(msgspec.Struct, frozen=True, gc=False):
    """A class of Python. `bases` are written as in the source; `doc` is the docstring's first line, if it begins on the
    next line. `protocol`: a base is typing's Protocol. `dataclass`: it is decorated with something called `dataclass`,
    whose ever: attrs and msgspec call theirs otherwise. `methods`: the functions right in it, each name once, in order.
    `lines` from `class` to its last."""

    name: str
    path: str
    line: int
    bases: tuple[str, ...]
    decorators: tuple[str, ...]
    doc: str
    nested: bool
    protocol: bool = False
    dataclass: bool = False
    methods: tuple[str, ...] = ()
    lines: int = 0


class FunctionFact(msgspec.Struct, frozen=True, gc=False):
    """A function of Python. `parameters` by name, in order, with `*` and `**`; `defaults` has the default of each, as
    in the source, or ''. `head` is the source line; `owner` the class or ''; `complexity` McCabe's, nested functions
    included; `lines` from `def` to its last."""

    name: str
    path: str
    line: int
    parameters: tuple[str, ...]
    returns: str
    decorators: tuple[str, ...]
    doc: str
    head: str
    owner: str
    nested: bool
    defaults: tuple[str, ...] = ()
    complexity: int = 0
    lines: int = 0


class ImportFact(msgspec.Struct, frozen=True, gc=False):
    """`module` as written, with its leading dots; `names` is empty for a plain `import`."""

    path: str
    line: int
    module: str
    names: tuple[str, ...]


class ConstantFact(msgspec.Struct, frozen=True, gc=False):
    """A top-level `NAME = value` that stands on one line."""

    name: str
    path: str
    line: int
    value: str


class Declaration(msgspec.Struct, frozen=True, gc=False):
    """What a file in another language than Python declares.

    `kind` is the language's own word: class, struct, union, interface, trait, enum, module, function, method or import
    (whose name is what is imported, without quotes). `owner`: the type that it is declared in or for, or ''. `bases`
    and `parameters` are names; `lines` from its first to its last."""

    kind: str
    name: str
    path: str
    line: int
    language: str
    owner: str = ""
    bases: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    lines: int = 1


class Place(msgspec.Struct, frozen=True, order=True, gc=False):
    """A line of a file; the first is 1."""

    path: str
    line: int


class Facts(msgspec.Struct, frozen=True):
    """`classes`, `functions`, `imports` and `constants` are Python's; other languages' are `declarations`. `folders`
    has every folder with its entries, those that are folders ending in `/`. `texts` has what tools show of a file that
    is not binary, by its path. `skipped` is the sum of `passed`: of how many there is nothing, by a word of Passed."""

    repository: str
    files: list[FileFact]
    folders: dict[str, list[str]]
    classes: list[ClassFact]
    functions: list[FunctionFact]
    imports: list[ImportFact]
    constants: list[ConstantFact]
    texts: Mapping[str, str]
    skipped: int
    declarations: list[Declaration] = []
    passed: dict[str, int] = {}
