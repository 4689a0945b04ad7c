"""What files in other languages declare."""

from __future__ import annotations

import time
from textwrap import dedent

import pytest

from distill.facts import Declaration, Passed
from distill.facts.declarations import read_declarations
from distill.facts.grammars import GRAMMARS

JAVASCRIPT = """\
    import a, { b as c } from './x.js';
    const fs = require('fs');
    export { d } from "./d.js";
    export default class Child extends ns.Parent {
      constructor(x, y = 2, ...rest) { super(); }
      static async load({ id }) {
        function inner() {}
        return new (class extends Other { hidden() {} })();
      }
    }
    const Late = class extends Early { early() {} };
    function* walk(node) {}
    const add = (one, two) => one + two;
    const same = x => x;
    const table = { row(at) {} };
    """
TYPESCRIPT = """\
    import type { T } from 'types';
    export abstract class Shape<T> extends Base<T> implements Drawn, ns.Named {
      constructor(private x: number, y?: string) { super(); }
      abstract area(scale: number): number;
      @logged()
      draw<U>(...points: U[]): void {}
    }
    interface Drawn extends Seen, List<string> { draw(at: number): void }
    enum Colour { Red }
    namespace inner { function helper(): void {} }
    declare function later(when: Date): void;
    export const made = (u: string) => u;
    """
GO = """\
    package shapes
    import (
    \t"fmt"
    \tother "example.com/other"
    )
    type Shape struct { Base; *Mixin; pkg.Deep; size, area int }
    type Drawn interface { io.Reader; Draw(x, y int, rest ...string) error }
    type Alias = Shape
    func (s *Shape[T]) Area(scale, by int) int { return 0 }
    func New[T any](size int) *Shape { return nil }
    """
RUST = """\
    use std::{io, fmt::Display};
    pub struct Shape<T> { size: T }
    pub trait Drawn: Seen + Into<String> { fn draw(&self, at: u8); }
    impl<T> Drawn for Shape<T> {
        fn draw(&self, (x, y): (u8, u8), mut z: u8) { fn inner() {} }
    }
    enum Colour { Red }
    fn free(a: u8, _: u8) {}
    """
JAVA = """\
    package shapes;
    import java.util.*;
    public class Shape<T> extends Base<T> implements Drawn, other.Named {
        Shape(int size) {}
        @Override
        public void draw(final int x, String... rest) {
            new Thread() { public void run() {} };
        }
        class Inner {}
    }
    interface Drawn extends Seen, Named { void draw(); }
    record Point(int x, int y) implements Named {}
    enum Colour implements Named { RED; void mix() {} }
    """
C = """\
    #include <stdio.h>
    #include "shape.h"
    struct shape { int size; };
    typedef struct { int x; } point;
    enum colour { RED };
    static int *
    area(struct shape *s, char *names[], void (*done)(int), ...) { return 0; }
    int declared_only(int);
    int none(void) { return 0; }
    """
RUBY = """\
    require 'set'
    require_relative "shape"
    module Shapes
      class Circle < Base::Shape
        def draw(x, y = 1, *rest, at:, by: 2, **more, &done); end
        def self.unit = 1
      end
    end
    def free; end
    """

FOUND = {
    "javascript": [
        "import ./x.js", "import fs", "import ./d.js",
        "class Child(ns.Parent) 7", "Child.method constructor x y rest", "Child.method load {id} 4", "function inner",
        "method hidden", "class Late(Early)", "Late.method early", "function walk node", "function add one two",
        "function same x", "method row at",
    ],
    "typescript": [
        "import types",
        "class Shape(Base Drawn ns.Named) 6", "Shape.method constructor x y", "Shape.method area scale",
        "Shape.method draw points", "interface Drawn(Seen List)", "Drawn.method draw at", "enum Colour",
        "namespace inner", "function helper", "function later when", "function made u",
    ],
    "go": [
        "import fmt", "import example.com/other",
        "struct Shape(Base Mixin pkg.Deep)", "interface Drawn(io.Reader)", "Drawn.method Draw x y rest",
        "Shape.method Area scale by", "function New size",
    ],
    "rust": [
        "import std::{io, fmt::Display}", "struct Shape", "trait Drawn(Seen Into)", "Drawn.method draw self at",
        "impl Shape(Drawn) 3", "Shape.method draw self (x,y) z", "function inner", "enum Colour", "function free a _",
    ],
    "java": [
        "import java.util",
        "class Shape(Base Drawn other.Named) 8", "Shape.constructor Shape size", "Shape.method draw x rest 3",
        "method run", "Shape.class Inner", "interface Drawn(Seen Named)", "Drawn.method draw",
        "record Point(Named) x y", "enum Colour(Named)", "Colour.method mix",
    ],
    "c": [
        "import stdio.h", "import shape.h", "struct shape", "struct point", "enum colour",
        "function area s names done ...", "function none",
    ],
    "ruby": [
        "import set", "import shape", "module Shapes 6", "Shapes.class Circle(Base::Shape) 4",
        "Circle.method draw x y rest at by more done", "Circle.method unit", "method free",
    ],
}  # fmt: skip
SOURCES = {
    "javascript": JAVASCRIPT, "typescript": TYPESCRIPT, "go": GO, "rust": RUST, "java": JAVA, "c": C, "ruby": RUBY,
}  # fmt: skip


def told(one: Declaration) -> str:
    """A declaration in a line: owner.kind name(bases) parameters, and its lines where they are several."""
    bases = f"({' '.join(one.bases)})" if one.bases else ""
    words = [f"{one.owner}.{one.kind}" if one.owner else one.kind, one.name + bases]
    words += [parameter.replace(" ", "") for parameter in one.parameters]
    return " ".join([*words, str(one.lines)] if one.lines > 1 else words)


@pytest.mark.parametrize("language", SOURCES)
def test_declarations_are_what_the_source_says(language: str) -> None:
    source = dedent(SOURCES[language])
    found = read_declarations("a/file", language, source.encode())
    assert not isinstance(found, Passed)
    assert [told(one) for one in found] == FOUND[language]
    lines = source.split("\n")
    assert all(one.name in lines[one.line - 1] for one in found)
    assert {(one.path, one.language) for one in found} == {("a/file", language)}


def test_tsx_is_typescript_with_elements() -> None:
    source = b"export const App = (props: Props) => <div>{props.name}</div>;\n"
    assert read_declarations("f", "typescript", source) is Passed.NOT_PARSED
    assert read_declarations("f", "tsx", source) == [
        Declaration("function", "App", "f", 1, "tsx", parameters=("props",))
    ]


@pytest.mark.parametrize("language", sorted(GRAMMARS))
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"((((", b"}" * 50_000, b"(" * 50_000], ids=lambda c: repr(c[:4])
)
def test_what_is_not_valid_declares_nothing(language: str, content: bytes) -> None:
    assert read_declarations("f", language, content) in ([], Passed.NOT_PARSED)


def test_broken_source_is_given_up_early() -> None:
    """To recover from a million bytes of nonsense takes a parser half a minute."""
    nonsense = (b"function ( ] => ` } a< " * 50_000)[:1_000_000]
    started = time.monotonic()
    assert read_declarations("f", "typescript", nonsense) is Passed.NOT_PARSED
    assert time.monotonic() - started < 5


def test_deep_nesting_is_no_recursion_of_ours() -> None:
    deep = b"class A { m() { return " + b"[" * 20_000 + b"]" * 20_000 + b" } }"
    found = read_declarations("f", "javascript", deep)
    assert not isinstance(found, Passed)
    assert [one.name for one in found] == ["A", "m"]
