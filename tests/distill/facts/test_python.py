"""What Python files declare, whatever they are written like."""

from __future__ import annotations

from textwrap import dedent

import pytest

from distill.facts import Passed
from distill.facts.python import Module, read_module

CLASSES = """\
    import asyncio, typing, typing as t, dataclasses
    from typing import Protocol, Protocol as P, Generic
    from twisted.protocol import Protocol as Wire
    from ._compat import Protocol as Ours
    import attr

    class A(Protocol): ...
    class B(P[int], Generic[int]): ...
    class C(typing.Protocol): ...
    class D(t.Protocol): ...
    class E(asyncio.Protocol): ...
    class F(Wire): ...
    class G(Ours): ...
    class H(A): ...

    @dataclasses.dataclass(frozen=True)
    class I: ...
    @dataclass
    class J: ...
    @attr.define
    class K: ...
    @dataclass_transform()
    class L: ...
    """
METHODS = """\
    class Many:
        @property
        def size(self):
            return 1

        @size.setter
        def size(self, value): ...

        if True:
            async def run(self):
                def inner(): ...

        class Inner:
            def own(self): ...

    def free(): ...
    """
PARAMETERS = """\
    def every(a, b: int = 1, /, c="it's", *rest: str, d, e=[1,  2], f=(
        3), **more): ...
    def long(a={
        'one': 1}, b=-1): ...
    """


def module_of(source: str | bytes) -> Module:
    found = read_module("m.py", source.encode() if isinstance(source, str) else source)
    assert isinstance(found, Module)
    return found


def test_protocols_are_typings_and_dataclasses_are_called_so() -> None:
    classes = module_of(dedent(CLASSES)).classes
    assert "".join(fact.name for fact in classes if fact.protocol) == "ABCDG"
    assert "".join(fact.name for fact in classes if fact.dataclass) == "IJ"


def test_a_protocol_of_the_files_own_is_not_typings() -> None:
    classes = module_of("class Protocol: ...\nclass A(Protocol): ...\n").classes
    assert not [fact.name for fact in classes if fact.protocol]
    assert module_of("from typing import *\nclass A(Protocol): ...\n").classes[0].protocol


def test_methods_are_the_functions_right_in_a_class() -> None:
    many, inner = module_of(dedent(METHODS)).classes
    assert (many.methods, many.lines) == (("size", "run"), 14)
    assert (inner.methods, inner.lines) == (("own",), 2)
    owners = {fact.name: fact.owner for fact in module_of(dedent(METHODS)).functions}
    assert owners == {"size": "Many", "run": "Many", "inner": "", "own": "Inner", "free": ""}


def test_defaults_stand_beside_their_parameters_as_they_are_written() -> None:
    every, long = module_of(dedent(PARAMETERS)).functions
    assert every.parameters == ("a", "b", "c", "*rest", "d", "e", "f", "**more")
    assert every.defaults == ("", "1", '"it\'s"', "", "", "[1,  2]", "3", "")
    assert long.defaults == ("{'one': 1}", "-1")
    assert (every.lines, long.lines) == (2, 2)


@pytest.mark.parametrize(
    "source",
    [
        b"# coding: latin-1\ndef f(name='\xe9', b=2):\n    pass\nX = 1\n",
        b"# coding: latin-1\ndef f(name='\xc3\xa9', b=2):\n    pass\nX = 1\n",  # valid UTF-8, and means something else
        "# é\r\ndef f(name='é', b=2):\r\n    pass\r\nX = 1\r\n".encode(),
        "\ufeff# é\ndef f(name='é', b=2):\n    pass\nX = 1\n".encode(),
        "# coding: cp1251\ndef f(name='ж', b=2):\n\x0c    pass\nX = 1\n".encode("cp1251"),
    ],
    ids=["latin-1", "latin-1 like UTF-8", "CRLF", "BOM", "cp1251"],
)
def test_encodings_and_ends_of_lines(source: bytes) -> None:
    module = module_of(source)
    (fact,) = module.functions
    assert (fact.name, fact.line, fact.parameters, fact.defaults[1], fact.lines) == ("f", 2, ("name", "b"), "2", 2)
    assert fact.defaults[0] in ("'é'", "'ж'", "'Ã©'")
    assert [(constant.name, constant.line, constant.value) for constant in module.constants] == [("X", 4, "1")]


def test_form_feeds_end_no_line() -> None:
    module = module_of("A = 1\n\x0c\nB = 2\x0c\n\x0c\x0cclass C: ...\n")
    assert [(fact.name, fact.line) for fact in module.constants] == [("A", 1), ("B", 3)]
    assert module.classes[0].line == 4


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    module = module_of("\ufeffdef f(a='é'): ...\n".encode())
    assert (module.functions[0].head, module.functions[0].defaults) == ("def f(a='é'): ...", ("'é'",))


def test_half_a_character_in_a_docstring_can_be_kept() -> None:
    module = module_of('class A:\n    "\\ud800 half"\n')
    assert module.classes[0].doc == "? half"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"def (:\n", Passed.NOT_PARSED),
        (b"print 'two'\n", Passed.NOT_PARSED),
        (b"# coding: no-such\n", Passed.NOT_PARSED),
        (b"# coding: rot13\nk = 1\n", Passed.NOT_PARSED),
        (b"# coding: undefined\nk = 1\n", Passed.NOT_PARSED),
        (b"# coding: punycode\n" + b"a" * 90_000, Passed.NOT_PARSED),
        (b"\xef\xbb\xbf# coding: latin-1\nk = 1\n", Passed.NOT_PARSED),
        (b"k = '\xe9'\n", Passed.NOT_PARSED),
        (b"x = 1\0\n", Passed.NOT_PARSED),
        (b"x = 1\ry = 2\n", Passed.LINE_ENDS),
        (b"x = " + b"(" * 5000 + b")" * 5000, Passed.NOT_PARSED),
        (b"x = " + b"-" * 500_000 + b"1", Passed.NOT_PARSED),
        (b"x = " + b"+".join([b"1"] * 200_000), Passed.NOT_PARSED),
        (b"if 1:\n x\n" + b"elif 1:\n x\n" * 60_000, Passed.NOT_PARSED),
        (b"class A(x" + b".y" * 2000 + b"): ...\n", Passed.NOT_PARSED),
        (b"x = " + b"9" * 100_000, Passed.NOT_PARSED),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_what_python_cannot_read_is_passed_over(source: bytes, why: Passed) -> None:
    assert read_module("m.py", source) is why


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "+".join(["1"] * 2500),
        "if x:\n  def f(): ...\n" + "elif x:\n  pass\n" * 800,
        "".join(" " * depth + f"class C{depth}:\n" for depth in range(90)) + " " * 90 + "def f(): ...\n",
        "x = '" + "a" * 900_000 + "'\ndef f(): ...",
        "x = [" + "1, " * 300_000 + "]\ndef f(): ...",
    ],
    ids=["long sum", "many elif", "deep classes", "long line", "long list"],
)
def test_what_is_deep_or_long_is_read_all_the_same(source: str) -> None:
    module = module_of(source)
    assert len(module.functions) == ("def f" in source)
