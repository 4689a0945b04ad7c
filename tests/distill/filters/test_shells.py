"""Lines of a shell that are run again on a snapshot: what agrees, what is stale, and what cannot be said.

On a machine without a confinement nothing is run, and every one of them says so.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from distill.confinement import Confined, confinement
from distill.filters import Rules, Told, explain
from distill.filters.told import Snapshot
from tests.distill.filters.scenes import Scene, definitions, make_repository

WAY = confinement()
CONFINED = None if WAY is None else Confined(WAY)
_GIT = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a commit. Whoever is root becomes nobody in a confinement, so anybody may read it."""
    made = make_repository(tmp_path, 3)
    (made / "notes.txt").write_text("".join(f"note {number}\n" for number in range(1, 31)))
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*_GIT, *words], cwd=made, env=environment, check=True)
    return made


def found(root: Path, *calls: tuple[dict[str, Any], str], name: str = "Bash", confined: Any = CONFINED) -> list[str]:
    """What re-execution says of calls with their results: the reasons, `passed` where there is nothing to say."""
    made = Scene(root, *definitions(root)[:2], ours=False).ask()
    for arguments, result in calls:
        made.call(name, arguments, result)
    told = Told(
        Rules(confirm=False), snapshot=lambda workspace: Snapshot(root, clean=True, whole=True), confined=confined
    )
    (one,) = explain(made.say().traces("c"), told).trajectories
    return [finding.reason or finding.effect for finding in one.findings if finding.check == "rerun"]


def free(root: Path, line: str) -> str:
    """What the line prints, run as an agent runs it."""
    done = subprocess.run(["/bin/sh", "-c", line], cwd=root, capture_output=True, text=True, check=False)
    return f"Exit code: {done.returncode}\nOutput:\n{done.stdout}{done.stderr}"


def here(reason: str) -> list[str]:
    """The reason on this machine."""
    return [reason if CONFINED is not None else "not_rerun"]


LINES = [
    "sed -n '2,5p' notes.txt",
    "cat notes.txt | grep -n 'note 2' | head -3",
    "find . -name '*.py' | xargs grep -n 'def '",
    "find . -name '*.py' -not -path './.git/*' | sort",
    "cat README.md && ls",
    "wc -l */*.py",
    "grep -rnE 'def [a-z]+_[a-z]+\\(' . | wc -l",
    "head -3 notes.txt; echo ---; tail -n 2 notes.txt",
    "git log --oneline -5",
    "git ls-files | grep py",
    "git show HEAD:notes.txt | sed -n 3p",
    "git grep -n 'note 7'",
    "grep -n nothing_like_it notes.txt || true",
    "sort -r notes.txt | uniq | cut -d' ' -f2 | tr 1 x",
    "ls missing 2>/dev/null; cat README.md",
    "cat README.md missing; true",
]


@pytest.mark.parametrize("line", LINES)
def test_lines_that_print_the_same(line: str, root: Path) -> None:
    assert found(root, ({"command": line}, free(root, line))) == here("passed")


@pytest.mark.parametrize("line", LINES)
def test_without_a_confinement_nothing_is_run(line: str, root: Path) -> None:
    assert found(root, ({"command": line}, free(root, line)), confined=None) == ["not_rerun"]


CHANGED = [
    ("sed -n '2,5p' notes.txt", "stale_result"),
    ("grep -rn 'note' --include='*.txt' . | wc -l", "stale_result"),
    ("git grep -n 'note'", "stale_result"),
    ("cat notes.txt | grep -c .", "stale_result"),
    ("cat notes.txt missing.txt 2>/dev/null", "not_rerun"),
    ("grep -rn note . | head -5", "not_rerun"),
    ("git diff", "not_rerun"),
    ("git status --short", "not_rerun"),
    ("ls -l notes.txt", "not_rerun"),
    ("awk '{ print }' notes.txt", "not_rerun"),
]


@pytest.mark.parametrize(("line", "reason"), CHANGED)
def test_files_that_changed_since(line: str, reason: str, root: Path) -> None:
    before = free(root, line)
    (root / "notes.txt").write_text("another note\n")
    assert free(root, line) != before
    assert found(root, ({"command": line}, before)) == here(reason)


def test_where_a_conversation_believes_the_folder_to_be(root: Path) -> None:
    folder = Scene(root, *definitions(root)[:2], ours=False).folder
    shown = "note 3\nnote 4"
    for arguments in (
        {"command": f"sed -n 3,4p {folder}/notes.txt"},
        {"command": f"cd {folder} && sed -n 3,4p notes.txt"},
        {"cmd": "sed -n 3,4p notes.txt", "workdir": folder},
        {"command": ["bash", "-lc", "sed -n 3,4p notes.txt"], "workdir": "."},
        {"command": ["sed", "-n", "3,4p", "notes.txt"]},
    ):
        assert found(root, (arguments, shown), name="shell") == here("passed")
        assert found(root, (arguments, shown + "!"), name="exec_command") == here("stale_result")
    below = definitions(root)[0].path.rpartition("/")[0]
    listed = free(root, f"cd {below} && ls | cat")
    assert found(root, ({"command": "ls | cat", "workdir": f"{folder}/{below}"}, listed)) == here("passed")
    for odd in ("/elsewhere", "..", f"{folder}/..", f"{folder}/missing", 7, ["x"]):
        assert found(root, ({"command": "ls | cat", "workdir": odd}, "other")) == ["not_rerun"]


def test_results_that_were_cut_or_failed_prove_nothing(root: Path) -> None:
    line = {"command": "sed -n '1,30p' notes.txt"}
    whole = free(root, line["command"])
    for result in (
        whole.replace("note 15", "… 12 tokens truncated …"),
        whole + "... [3 lines omitted] ...",
        whole.replace("Exit code: 0", "Exit code: 2"),
    ):
        assert found(root, (line, result)) == ["not_rerun"]
    assert found(root, (line, whole.replace("note 15\n", ""))) == here("stale_result")
    assert found(root, ({"command": "cat missing.txt 2>/dev/null || true"}, "")) == ["not_rerun"]


def test_settings_that_could_run_something_are_not_tried(root: Path) -> None:
    result = free(root, "git log --oneline -5")
    (root / ".git" / "config").write_text("[core]\n\tbare = false\n[alias]\n\tx = log\n")
    assert found(root, ({"command": "git log --oneline -5"}, result)) == ["not_rerun"]


def test_what_may_have_changed_files(root: Path) -> None:
    stale = ({"command": "sed -n 1p notes.txt"}, "another note")
    looked = ({"command": "find . -name '*.py' | xargs grep -n x"}, "Exit code: 1\nOutput:\n")
    assert found(root, looked, stale)[-1:] == here("stale_result")
    for line in ("find . -name a.pyc -delete", "sed -i s/a/b/ notes.txt", "make", "echo x > notes.txt"):
        changed = ({"command": line}, "Exit code: 0\nOutput:\n")
        assert found(root, changed, stale) == ["not_rerun", "not_rerun"]


def test_our_own_tools_where_they_need_a_program(root: Path) -> None:
    arguments = {"command": "grep", "args": ["-nE", "note (1|2)$", "notes.txt"]}
    given = "1:note 1\n2:note 2"
    for result, reason in ((given, "passed"), (given + "0", "stale_result")):
        made = Scene(root, *definitions(root)[:2], ours=True).ask()
        made.call("run_command", arguments, result).say()
        told = Told(snapshot=lambda workspace: Snapshot(root, clean=True, whole=True), confined=CONFINED)
        (one,) = explain(made.traces("c"), told).trajectories
        assert [one.reason or one.effect for one in one.findings if one.check == "rerun"] == here(reason)
    long = {"command": "ls", "args": ["-l"]}
    made = Scene(root, *definitions(root)[:2], ours=True).ask().call("run_command", long, "total 0").say()
    (one,) = explain(
        made.traces("c"), Told(snapshot=lambda workspace: Snapshot(root, clean=True, whole=True), confined=CONFINED)
    ).trajectories
    assert [one.reason for one in one.findings if one.check == "rerun"] == ["not_rerun"]


def test_arguments_that_are_none(root: Path) -> None:
    for odd in ({"command": 7}, {"command": [1]}, {"command": []}, {"command": {}}, {}, {"cmd": "", "command": None}):
        assert found(root, (odd, "x")) == ["not_rerun"]
