"""Copies of folders: what is taken, what they are called, and that an earlier one is found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill.errors import RepositoryError
from distill.generate.repositories import digest
from distill.school.copies import Limits, copied
from distill.snapshots import Snapshots
from distill.workspace import Workspace

NOBODY: frozenset[str] = frozenset()


def shop(parent: Path, name: str = "shop") -> Path:
    root = parent / name
    (root / "src").mkdir(parents=True)
    (root / "src" / "basket.py").write_text("class Basket: ...\n")
    (root / "main.go").write_text("package main\n")
    return root


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_text_files_alone_are_taken(tmp_path: Path) -> None:
    root = shop(tmp_path)
    (root / "picture.png").write_bytes(b"\x89PNG\0\0")
    (root / "huge.txt").write_text("x" * 300_001)
    (root / ".env").write_text("KEY=1")
    for folder in (".git", "node_modules", "__pycache__"):
        (root / folder).mkdir()
        (root / folder / "inside.py").write_text("x = 1\n")
    (tmp_path / "secret.txt").write_text("outside")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "around").symlink_to(root)
    os.mkfifo(root / "pipe.py")
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff.py"))).write_text("x = 1\n")
    (root / "broken.py").write_text("def (:\n")
    (one,) = copied([str(root)], tmp_path / "copies", NOBODY)
    assert (one.name, one.root) == ("shop", tmp_path / "copies" / "shop")
    assert names(one.root) == {"src/basket.py", "main.go", "broken.py"}
    assert one.digest == digest(one.root)


def test_the_archives_of_examinations_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "copies" / "archives").mkdir(parents=True)
    (tmp_path / "copies" / "archives" / "click.whl").write_bytes(b"PK")
    root = shop(tmp_path, "archives")
    with pytest.raises(RepositoryError, match="archives_2="):
        copied([str(root)], tmp_path / "copies", NOBODY)
    (one,) = copied([f"archives_2={root}"], tmp_path / "copies", NOBODY)
    assert one.name == "archives_2"
    assert (tmp_path / "copies" / "archives" / "click.whl").exists()


def test_a_folder_of_far_too_many_files_hides_no_other(tmp_path: Path) -> None:
    root = shop(tmp_path)
    (root / "blobs").mkdir()
    for number in range(40):
        (root / "blobs" / f"{number:02}.txt").write_text("x")
    (one,) = copied([str(root)], tmp_path / "copies", NOBODY, Limits(names=30, folder_names=10))
    assert names(one.root) == {"main.go", "src/basket.py", *(f"blobs/{number:02}.txt" for number in range(10))}


def test_a_changed_folder_is_copied_anew_and_the_earlier_copy_is_still_found(tmp_path: Path) -> None:
    root, copies = shop(tmp_path), tmp_path / "copies"
    (before,) = copied([str(root)], copies, NOBODY)
    untouched = (before.root / "main.go").stat().st_ino
    assert copied([str(root)], copies, NOBODY) == [before]
    assert (before.root / "main.go").stat().st_ino == untouched
    (root / "main.go").write_text("package other\n")
    (after,) = copied([str(root)], copies, NOBODY)
    assert after.digest != before.digest
    found = Snapshots(tmp_path / "kept", [], tmp_path, copies)
    for one, said in ((before, "package main\n"), (after, "package other\n")):
        files = found.of(Workspace(repository="shop", commit=one.digest))
        assert files is not None
        assert files.whole
        assert (files.root / "main.go").read_text() == said
    (root / "main.go").write_text("package main\n")  # and back
    assert copied([str(root)], copies, NOBODY) == [before]
    assert sorted(path.name for path in copies.iterdir()) == sorted(
        ["shop", f"shop.{before.digest[:12]}", f"shop.{after.digest[:12]}"]
    )


@pytest.mark.parametrize("name", ["my-shop", "2fast", "class", "a b.c"])
def test_a_copy_is_called_like_its_folder_as_an_identifier(tmp_path: Path, name: str) -> None:
    (one,) = copied([str(shop(tmp_path, name))], tmp_path / "copies", NOBODY)
    assert one.name.isidentifier()


def test_two_of_one_name_need_another(tmp_path: Path) -> None:
    first, second = shop(tmp_path / "a"), shop(tmp_path / "b")
    with pytest.raises(RepositoryError, match="both be called shop"):
        copied([str(first), str(second)], tmp_path / "copies", NOBODY)
    found = copied([str(first), f"other={second}"], tmp_path / "copies", NOBODY)
    assert [one.name for one in found] == ["shop", "other"]


@pytest.mark.parametrize("disguise", ["msgspec", "MsgSpec", "msgspec-0.19.0", "innocent=msgspec", "innocent"])
def test_what_is_examined_is_refused_under_other_names_too(tmp_path: Path, disguise: str) -> None:
    name, _, real = disguise.partition("=")
    root = shop(tmp_path, real or name)
    if disguise == "innocent":
        (root / "src" / "msgspec").mkdir()
        (root / "src" / "msgspec" / "__init__.py").touch()
    wanted = f"{name}={root}" if real else str(root)
    with pytest.raises(RepositoryError, match="examinations"):
        copied([wanted], tmp_path / "copies", frozenset({"msgspec", "attr"}))
    assert not (tmp_path / "copies" / "innocent").exists()


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wanted in (str(tmp_path / "nowhere"), "no_such_package", str(tmp_path / "empty"), "", "x="):
        with pytest.raises(RepositoryError):
            copied([wanted], tmp_path / "copies", NOBODY)
