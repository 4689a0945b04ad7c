"""Limits that keep the code readable: size of files, names of modules, docstrings, and imports that do nothing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "distill", "router")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES = 400
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}

# Runs in a process of its own: first everything that is not ours, then our modules under an audit.
_IMPORT = """\
import importlib, json, os, sys, threading
theirs, ours = json.loads(sys.argv[1])
for name in theirs:
    importlib.import_module(name)
found, current = [], ""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ALWAYS = ("socket.", "subprocess.", "os.system", "os.fork", "os.exec", "os.mkdir", "os.remove", "os.rename",
          "os.rmdir", "shutil.", "tempfile.", "sqlite3.connect", "os.putenv", "os.chdir", "signal.")
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if writes or event.startswith(ALWAYS):
        found.append(f"{current}: {event} {arguments!r:.120}")
sys.addaudithook(watch)
threads, environment = threading.active_count(), dict(os.environ)
for current in ours:
    importlib.import_module(current)
    if threading.active_count() != threads or dict(os.environ) != environment:
        found.append(f"{current}: threads or environment changed")
print(json.dumps(found))
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_modules_have_names_that_say_something() -> None:
    assert not [module_name(path) for path in SOURCES if NAMELESS & set(re.split(r"[._]", module_name(path)))]


def test_modules_say_what_they_own() -> None:
    filled = [path for path in SOURCES if path.read_text(encoding="utf-8").strip()]
    assert not [module_name(p) for p in filled if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]


def test_importing_does_nothing() -> None:
    """No module opens a socket, starts a process or thread, writes a file or changes the environment on import."""
    theirs = sorted({name for path in SOURCES for name in _outside_imports(path)})
    names = json.dumps([theirs, [module_name(path) for path in SOURCES]])
    command = [sys.executable, "-B", "-W", "ignore", "-c", _IMPORT, names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


def _outside_imports(path: Path) -> set[str]:
    """Modules of others, the standard library's included, that a file imports when it is itself imported."""
    found: set[str] = set()
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found.add(statement.module)
    return {name for name in found if name.partition(".")[0] not in (*PACKAGES, "__future__")}
