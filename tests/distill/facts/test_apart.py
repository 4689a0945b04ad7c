"""Parsers that run away, crash or are ended cost the file that they were at, and no other."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from distill.facts import Passed, collect
from distill.facts.apart import Apart

GOOD = b"class A {}\n"
ENDLESS = b"a<" * 400_000  # of Java: an hour


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "distill.facts.inside" in one.cmdline()]


def test_a_file_that_its_parser_runs_away_on_is_passed_over() -> None:
    with Apart() as apart:
        started = time.monotonic()
        assert apart.read("a.java", "java", ENDLESS) is Passed.RUNAWAY
        assert time.monotonic() - started < 60
        found = apart.read("b.java", "java", GOOD)
        assert not isinstance(found, Passed)
        assert [one.name for one in found] == ["A"]
    assert not children()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_is_ended_is_started_again(how: signal.Signals) -> None:
    with Apart() as apart:
        assert apart.read("a.js", "javascript", GOOD)
        (child,) = children()
        timer = threading.Timer(0.5, os.kill, (child.pid, how))
        timer.start()
        assert apart.read("b.java", "java", ENDLESS) is Passed.RUNAWAY
        timer.join()
        assert len(apart.read("c.js", "javascript", GOOD)) == 1


def test_a_folder_full_of_such_files_is_given_up() -> None:
    with Apart() as apart:
        for _ in range(20):
            apart.read("a.js", "javascript", GOOD)
            (child,) = children()
            child.kill()
            child.wait()
            assert apart.read("b.js", "javascript", GOOD) is Passed.RUNAWAY
        assert apart.read("c.js", "javascript", GOOD) is Passed.RUNAWAY
    assert not children()


def test_a_folder_tells_what_its_other_languages_declare(tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text("package a\n\nfunc Run() {}\n")
    (tmp_path / "b.rs").write_text("pub struct Shape {}\n")
    (tmp_path / "c.py").write_text("class Python: ...\n")
    (tmp_path / "d.java").write_text("class {\n")
    (tmp_path / "e.md").write_text("class Prose {}\n")
    (tmp_path / "f.rb").write_text("class Gem < Base; end\n")
    facts = collect(tmp_path)
    declared = [(one.path, one.kind, one.name) for one in facts.declarations]
    assert declared == [("a.go", "function", "Run"), ("b.rs", "struct", "Shape"), ("f.rb", "class", "Gem")]
    assert [fact.name for fact in facts.classes] == ["Python"]
    assert facts.passed == {Passed.NOT_PARSED: 1}
    assert [file.language for file in facts.files] == ["go", "rust", "python", "java", "markdown", "ruby"]
    assert not children()
