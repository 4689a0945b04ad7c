"""Snapshots by what agents tell: which folders count, what is kept, and that the filters use them rightly."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from distill.commits import Room
from distill.filters import Rules, Told, explain
from distill.filters.told import Snapshot
from distill.generate.repositories import digest, snapshot
from distill.snapshots import Limits, Snapshots
from distill.trace import Trace
from distill.workspace import Workspace
from router.chat import Message
from tests.distill.filters.scenes import Scene, definitions, make_repository
from tests.distill.gitting import commit, git

STATUS = "\n\ngitStatus: This is the git status.\n\nStatus:\n{}\n\nRecent commits:\n{} first\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with one repository in it, whose name everybody else has, too."""
    folder = tmp_path / "alice"
    made = make_repository(folder, 3)
    git(made, "init", "-q", "-b", "main")
    (made / ".gitignore").write_text("built\n")
    commit(made)
    return folder


def shop(home: Path) -> Path:
    return home / "project3"


def head(home: Path) -> str:
    return git(shop(home), "rev-parse", "HEAD")


def snapshots(home: Path, limits: Limits | None = None, *roots: Path) -> Snapshots:
    return Snapshots(home / "data" / "snapshots", roots or [home], home, home / "data" / "repositories", limits)


def told(home: Path, folder: str = "", clean: bool = True) -> Workspace:
    return Workspace(folder or str(shop(home)), "project3", head(home)[:7], clean)


def test_the_files_are_those_of_the_commit(home: Path) -> None:
    place = definitions(shop(home))[0].path
    before, workspace = (shop(home) / place).read_text(), told(home)
    (shop(home) / place).write_text("changed")
    (shop(home) / "built").touch()
    commit(shop(home))
    found = snapshots(home).of(workspace)
    assert found == Snapshot(found.root, clean=True) if found else False
    assert (found.root / place).read_text() == before
    assert not (found.root / "built").exists()
    assert not (found.root / ".git").exists()


@pytest.mark.parametrize("name", ["/home/user", "/Users/user"])
def test_a_replaced_home_is_that_of_whoever_runs_the_night(home: Path, name: str) -> None:
    found = snapshots(home).of(told(home, f"{name}/project3"))
    assert found is not None
    assert (found.root / "README.md").is_file()
    assert snapshots(home).of(told(home, f"{name}2/project3")) is None


def test_a_folder_inside_of_the_repository(home: Path) -> None:
    inside = definitions(shop(home))[0].path.partition("/")[0]
    found = snapshots(home).of(told(home, str(shop(home) / inside)))
    assert found is not None
    assert {path.name for path in found.root.iterdir()} == {path.name for path in (shop(home) / inside).iterdir()}
    assert snapshots(home).of(told(home, str(shop(home) / "built" / "x"))) is None


def test_nothing_outside_of_the_roots_is_looked_into(home: Path) -> None:
    workspace = told(home)
    assert snapshots(home, None, shop(home)).of(workspace) is not None
    assert snapshots(home, None, home / "other").of(workspace) is None
    assert Snapshots(home / "data", [], home, home / "data").of(workspace) is None
    (home / "other").mkdir()
    (home / "other" / "link").symlink_to(shop(home))
    for folder in (home / "other" / "link", home / "other" / ".." / "project3"):
        assert snapshots(home, None, home / "other").of(told(home, str(folder))) is None
    for folder in (
        "src/project3",
        ".",
        "~/project3",
        "C:\\Users\\user\\src",
        "/home/user/../../etc",
        "\0",
        "a" * 9999,
    ):
        assert snapshots(home).of(told(home, folder)) is None


@pytest.mark.parametrize("name", ["", "main", "HEAD", "0" * 40, "12", "--help"])
def test_without_a_commit_that_is_there_it_has_none(home: Path, name: str) -> None:
    assert snapshots(home).of(msgspec.structs.replace(told(home), commit=name)) is None
    assert not (home / "data").exists()


def test_a_commit_is_unpacked_once_and_found_again(home: Path) -> None:
    first = snapshots(home).of(told(home))
    assert first is not None
    made = first.root.stat().st_mtime_ns
    (shop(home) / "README.md").write_text("other")
    again = snapshots(home).of(told(home, clean=False))
    assert again == Snapshot(first.root)
    assert first.root.stat().st_mtime_ns == made
    assert [path.name for path in (home / "data" / "snapshots").iterdir()] == [f"project3-{head(home)[:12]}"]


def test_what_was_begun_is_not_taken_and_goes_in_time(home: Path) -> None:
    kept = home / "data" / "snapshots"
    for name, age in ((".making-old", 7200), (".making-new", 0)):
        (kept / name / "files").mkdir(parents=True)
        os.utime(kept / name, (time.time() - age,) * 2)
    assert snapshots(home).of(told(home)) is not None
    assert sorted(path.name for path in kept.iterdir()) == [".making-new", f"project3-{head(home)[:12]}"]


def test_what_is_too_large_is_none_and_leaves_nothing(home: Path) -> None:
    small = snapshots(home, Limits(each=Room(files=2)))
    assert small.of(told(home)) is None
    assert [*(home / "data" / "snapshots").iterdir()] == []


def test_what_was_not_used_for_longest_goes_first(home: Path) -> None:
    kept = home / "data" / "snapshots"
    states = []
    for number in range(3):
        (shop(home) / "README.md").write_text(f"{number}")
        commit(shop(home))
        states.append(told(home))
    one, two = (snapshots(home).of(state) for state in states[:2])
    assert one is not None
    assert two is not None
    for age, found in ((100, one), (200, two)):
        os.utime(found.root.parent / "record.json", (time.time() - age,) * 2)
    size = json.loads((one.root.parent / "record.json").read_text())["unpacked"]["bytes"]
    third = snapshots(home, Limits(bytes=2 * size)).of(states[2])
    assert third is not None
    assert {path.name for path in kept.iterdir()} == {one.root.parent.name, third.root.parent.name}
    alone = snapshots(home, Limits(bytes=1)).of(states[1])
    assert alone is not None
    assert [path.name for path in kept.iterdir()] == [two.root.parent.name]


def test_one_night_makes_no_more_than_so_many(home: Path) -> None:
    first = told(home)
    (shop(home) / "README.md").write_text("other")
    commit(shop(home))
    bounded = snapshots(home, Limits(made=1))
    assert bounded.of(first) is not None
    assert bounded.of(told(home)) is None
    assert bounded.of(msgspec.structs.replace(first, clean=False)) is not None


def test_the_exploring_agents_copies_by_the_digest_of_their_files(home: Path) -> None:
    copies = home / "data" / "repositories"
    root = snapshot("iniconfig", copies)
    workspace = Workspace(repository="iniconfig", commit=digest(root))
    assert snapshots(home).of(workspace) == Snapshot(root, clean=True, whole=True)
    assert snapshots(home).of(Workspace(repository="iniconfig")) is None
    for name in ("..", ".", "", "nothing", "../repositories/iniconfig"):
        assert snapshots(home).of(Workspace(repository=name, commit=digest(root))) is None
    (root / "new.py").touch()
    assert snapshots(home).of(workspace) is None
    (copies / "link").symlink_to(shop(home))
    assert snapshots(home).of(Workspace(repository="link", commit=digest(shop(home)))) is None


# What the filters make of them


def conversation(home: Path, scene: Scene, status: str = "(clean)", redacted: int = 1) -> list[Trace]:
    """The traces of an agent as Claude Code tells of itself, with its home folder's name replaced."""
    block = f"<env>\nWorking directory: /home/user/project3\n</env>{STATUS.format(status, head(home)[:7])}"
    scene.messages[0] = Message("system", block)
    return [msgspec.structs.replace(trace, redacted=redacted) for trace in scene.traces("c")]


def scene(home: Path) -> Scene:
    made = Scene(shop(home), *definitions(shop(home))[:2], ours=False)
    return made.ask()


def findings(home: Path, traces: list[Trace]) -> list[tuple[str, str]]:
    rules = Told(Rules(confirm=False), snapshot=snapshots(home).of, finds_secret=lambda text: "hunter2" in text)
    (one,) = explain(traces, rules).trajectories
    return [(found.reason, found.detail.partition(": ")[2]) for found in one.findings if found.check == "rerun"]


def reread(home: Path, made: Scene, old: str, new: str) -> Scene:
    """The scene with another text in its last result."""
    text = made.messages[-1].text.replace(old, new)
    made.messages[-1] = msgspec.structs.replace(made.messages[-1], content=text)
    return made


def absolute(made: Scene, command: str, shown: str) -> Scene:
    """A shell's command with the folder's whole path in it, and the result with the same path before each line."""
    lines = "\n".join(f"{made.folder}/{line}" if "grep" in command else line for line in shown.splitlines())
    return made.call("Bash", {"command": command.replace("HERE", made.folder)}, f"Exit code: 0\nOutput:\n{lines}")


def test_results_that_agree_prove_and_one_that_differs_is_stale(home: Path) -> None:
    made = scene(home)
    absolute(made, "cat HERE/README.md", (shop(home) / "README.md").read_text())
    absolute(
        made,
        f"grep -n {made.wanted.pattern.split()[1]} -r HERE",
        scene(home).shell(f"grep -rn {made.wanted.name} .").messages[-1].text.partition("Output:\n")[2],
    )
    made = made.shell("ls .").read().say()
    assert findings(home, conversation(home, made)) == [("", "")]
    stale = reread(home, scene(home).read(), "def", "deff").say()
    assert [reason for reason, _ in findings(home, conversation(home, stale))] == ["stale_result"]
    stale = absolute(scene(home), "cat HERE/README.md", "# Something else").say()
    assert [reason for reason, _ in findings(home, conversation(home, stale))] == ["stale_result"]
    sought = absolute(scene(home), "grep -rn HERE .", "a:1:x").say()  # the folder's path is what is looked for
    assert findings(home, conversation(home, sought)) == [("not_rerun", "cannot be read again")]


def test_a_difference_proves_nothing_where_the_tree_was_not_clean(home: Path) -> None:
    for status in (" M README.md", "(clean)\nM x", ""):
        stale = reread(home, scene(home).read(), "def", "deff").say()
        assert findings(home, conversation(home, stale, status)) == [
            ("not_rerun", "differs, and nobody said that no file was changed")
        ]


def test_a_difference_that_redaction_may_have_made_proves_nothing(home: Path) -> None:
    stale = reread(home, scene(home).read(), "def", "deff").say()
    assert findings(home, conversation(home, stale, redacted=2)) == [("not_rerun", "differs, and was redacted")]
    file = shop(home) / "README.md"
    file.write_text("# hunter2\nsee /home/alice/x and C:\\Users\\alice\\y\n")
    commit(shop(home))
    secret = reread(home, scene(home).read("README.md", 1), "hunter2", "hxxxxx2").say("It is there.")
    assert findings(home, conversation(home, secret)) == [("not_rerun", "differs, and may have been redacted")]
    named = reread(home, scene(home).read("README.md", 2), "alice", "user").say("It is there.")
    assert findings(home, conversation(home, named)) == [("", "")]


def test_what_git_ignores_is_no_difference(home: Path) -> None:
    (shop(home) / "built").mkdir()
    (shop(home) / "built" / "copy.py").write_text("def gadget():\n")
    (shop(home) / "__pycache__").mkdir()
    made = scene(home).shell("ls .").shell("grep -rn def .").shell("grep -rn gadget .").shell("find . -name copy.py")
    assert findings(home, conversation(home, made.say())) == [("not_rerun", "cannot be read again")] * 4
    for command, old, new in (
        ("grep -rn def .", "def ", "deff "),  # of a file that git knows
        ("ls .", "README.md\n", ""),
    ):
        made = reread(home, scene(home).shell(command), old, new).say()
        assert [reason for reason, _ in findings(home, conversation(home, made))] == ["stale_result"]


def test_after_a_change_or_another_word_of_the_user_nothing_is_stale(home: Path) -> None:
    later = scene(home).read().say().ask("And now?").read("README.md", 1)
    later = reread(home, later, "small", "large").say("Still there.")
    assert findings(home, conversation(home, later)) == [
        ("not_rerun", "differs, and the user may have changed files since")
    ]
    beside = conversation(home, reread(home, scene(home).read(), "def", "deff").say())
    edit = scene(home).call("Edit", {"file_path": "x", "old_string": "a", "new_string": "b"}, "Done.").say("Done.")
    main = [msgspec.structs.replace(trace, id=f"m{trace.id}", created=-1.0) for trace in conversation(home, edit)]
    rules = Told(Rules(confirm=False), snapshot=snapshots(home).of)
    reasons = {f.reason for one in explain([*main, *beside], rules).trajectories for f in one.findings}
    assert "stale_result" not in reasons
    assert "stale_result" in {f.reason for one in explain(beside, rules).trajectories for f in one.findings}


def test_odd_files_are_compared_as_agents_number_them(home: Path) -> None:
    file = shop(home) / "README.md"
    file.write_bytes("\ufeffone\x0c\rand\u2028more\r\ntwo  \nä\n".encode() + b"\xe4\xff\n" + b"x" * 5000 + b"\n")
    commit(shop(home))
    shown = "     1→one\x0c\rand\u2028more\r\n     2→two\n     3→ä\n     4→ä?\n     5→" + "x" * 2000 + "... [truncated]"
    made = scene(home).call("Read", {"file_path": "README.md"}, shown).say("It is there.")
    assert findings(home, conversation(home, made)) == [("not_rerun", "cannot be read again")]  # for the fourth
    shown = "\n".join(line for line in shown.split("\n") if "4→" not in line)
    made = scene(home).call("Read", {"file_path": "README.md"}, shown).say("It is there.")
    assert findings(home, conversation(home, made)) == [("", "")]
    made = scene(home).call("Read", {"file_path": "README.md"}, f"{shown}\n    99→more").say("It is there.")
    assert [reason for reason, _ in findings(home, conversation(home, made))] == ["stale_result"]
