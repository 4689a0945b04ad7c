"""Results of tools as agents hand them on: which say that the call failed, and which only speak of errors."""

from __future__ import annotations

import time

import pytest

from distill.results import failed, found_lines, found_nothing, numbered_lines

FAILED = {
    "ours": "error: no such file: x.py",
    "messages wire": "Error: File does not exist.",
    "claude code, bash": "Error: Exit code 2\ngrep: bad option",
    "claude code, edit": "<tool_use_error>String to replace not found in file.</tool_use_error>",
    "codex, exec": "Chunk ID: 1a\nWall time: 0.1 seconds\nProcess exited with code 127\nOutput:\nrg: not here",
    "codex, shell": "Exit code: 1\nWall time: 0.2 seconds\nOutput:\n2 failed, 3 passed",
    "codex, as JSON": '{"output":"no","metadata":{"exit_code":1,"duration_seconds":0.1}}',
    "gemini": "Command: ls x\nDirectory: (root)\nOutput: (empty)\nError: no\nExit Code: 2\nSignal: 0",
    "openhands": "ls: cannot access 'x'\n[Command finished with exit code 2]",
    "mini-swe-agent": "<returncode>1</returncode>\n<output>\nbad\n</output>",
    "pi": "boom\n\nCommand exited with code 3",
    "opencode": "File not found: /home/user/x.py",
    "openai-agents": "An error occurred while running the tool. Please try again. Error: x",
    "pydantic ai": "1 validation error\n\nFix the errors and try again.",
    "langchain": "Error invoking tool 'read' with kwargs {} with error:\n path: missing",
    "mcp": '{"isError": true, "content": []}',
    "an object": '{"error": "no such user", "code": 404}',
    "traceback": 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x\nNameError: name',
    "traceback at the end": 'loading\nTraceback (most recent call last):\n  File "a.py"\nmy.pkg.CustomError: no: way',
    "shell": "cat: x.py: No such file or directory",
    "no file": "ls: cannot access 'x': No such file or directory",
    "zsh": "zsh: command not found: rg",
    "dash": "/bin/sh: 1: rg: not found",
    "no program": "bash: line 1: rg: command not found",
    "git": "fatal: not a git repository",
}
FINE = {
    "source about errors": "1: class ParseError(Exception):\n2:     pass  # Error: never shown",
    "error module": "src/errors.py:3:error: str = 'Error:'",
    "a line about it": "1: # raised where it was not found",
    "a docstring": "key: what was not found",
    "a log": "INFO start\nERROR: disk full\nINFO end",
    "status zero": "Exit code: 0\nWall time: 0.2 seconds\nOutput:\nError: this is what the program printed",
    "status in the output": "Process exited with code 0\nOutput:\nProcess exited with code 1",
    "zero as JSON": '{"output":"Error: printed","metadata":{"exit_code":0}}',
    "a JSON file": '{"name": "x", "error": "a field of it", "version": 2}',
    "prose about codes": "Exit code 1 means that something failed.\nExit code 2 is worse.",
    "http": "Status: 404\nnothing to see",
    "traceback in the middle": 'x = """\nTraceback (most recent call last):\nValueError: a\n"""\nprint(x)',
    "numbered traceback": "1: Traceback (most recent call last):\n2: ValueError: x",
    "search without matches": "Exit code: 1\nWall time: 0.0 seconds\nOutput:\n",
    "tests": "===== 12 passed in 0.4s =====",
    "broken JSON": '{"error": ',
    "nothing": "",
}
NOTHING = ["", "  \n", "(no output)", "No matches found", "No files found.", "[]", FINE["search without matches"]]
NOTHING += [FAILED["ours"], FAILED["opencode"], FAILED["shell"], '{"output": "", "metadata": {"exit_code": 1}}']
SOMETHING = [FAILED["git"], "src/a.py:1:x", "0", "not_found = 1", FAILED["codex, shell"], FINE["status zero"]]


@pytest.mark.parametrize("shape", FAILED)
def test_what_failed(shape: str) -> None:
    assert failed(FAILED[shape])


@pytest.mark.parametrize("shape", FINE)
def test_what_did_not(shape: str) -> None:
    assert not failed(FINE[shape])


@pytest.mark.parametrize("text", NOTHING)
def test_what_found_nothing(text: str) -> None:
    assert found_nothing(text)


@pytest.mark.parametrize("text", SOMETHING)
def test_what_found_something(text: str) -> None:
    assert not found_nothing(text)


FOUND = {
    "beside": "src/a.py:3:class A:\nsrc/a.py:12: class B:",
    "opencode": "Found 2 matches\nsrc/a.py:\n  Line 3: class A:\n  Line 12: class B:",
    "gemini": "Found 2 matches:\nFile: src/a.py\nL3: class A:\nL12: class B:\n---",
    "roo": "Found 2 results.\n# src/a.py\n  3 | class A:\n 12 | class B:\n----",
}


@pytest.mark.parametrize("shape", FOUND)
def test_what_a_search_shows_beside_its_path_and_below_it(shape: str) -> None:
    found = [(path, number, text.strip()) for path, number, text in found_lines(FOUND[shape])]
    assert found == [("src/a.py", 3, "class A:"), ("src/a.py", 12, "class B:")]


@pytest.mark.parametrize(
    "text", ["  3 | class A:", "src/a.py\n\n  3 | class A:", "see src/a.py:\nLine 3: no", "a.py:\n3: x"]
)
def test_lines_without_a_path_right_above_are_of_no_file(text: str) -> None:
    assert found_lines(text) == []


def test_lines_with_their_numbers() -> None:
    shown = "     1\ta\n  2→b\n00003| c\n4: d\n5 | e\n6| f"
    assert numbered_lines(shown) == [(number, letter) for number, letter in enumerate("abcdef", 1)]


@pytest.mark.parametrize(
    "piece",
    ["a", "a.py:\n", "1 | x\n", ":1", "exit ", "Error:", "{", "Traceback (most recent call last):\n", "a: ", "\n"],
)
def test_long_results_take_no_time(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    start = time.monotonic()
    failed(text), found_nothing(text), found_lines(text)
    assert time.monotonic() - start < 2
