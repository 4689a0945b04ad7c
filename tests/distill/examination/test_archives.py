"""Repositories come out of pinned archives, and only the very files that were pinned are ever asked about."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from distill.errors import ArchiveError
from distill.examination.archives import Archive, open_archive, tree_of
from tests.distill.examination.archived import FILES, pinned, wheel


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = pinned(wheel(tmp_path))
    return msgspec.structs.replace(made, tree=tree_of(made, tmp_path))


def test_an_archive_becomes_a_folder_named_by_its_files(archive: Archive, tmp_path: Path) -> None:
    folder = open_archive(archive, tmp_path)
    assert folder == tmp_path / archive.tree / "shapes"
    assert (folder / "flat.py").read_text() == FILES["shapes/flat.py"]
    assert (folder / "static" / "draw.js").exists()
    assert not (folder / "METADATA").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["archives", archive.tree]
    )  # nothing is left over


def test_opened_once_it_needs_no_archive(archive: Archive, tmp_path: Path) -> None:
    folder = open_archive(archive, tmp_path)
    (tmp_path / "archives" / archive.filename).unlink()
    assert open_archive(archive, tmp_path) == folder


@pytest.mark.parametrize("change", ["edit", "add", "remove"])
def test_changed_files_are_not_scored(archive: Archive, tmp_path: Path, change: str) -> None:
    folder = open_archive(archive, tmp_path)
    if change == "edit":
        (folder / "flat.py").write_text("class Other: ...\n")
    elif change == "add":
        (folder / "more.py").write_text("")
    else:
        (folder / "static" / "draw.js").unlink()
    with pytest.raises(ArchiveError, match="nothing is scored: remove the folder"):
        open_archive(archive, tmp_path)


def test_an_archive_with_other_files_is_not_scored(archive: Archive, tmp_path: Path) -> None:
    other = msgspec.structs.replace(archive, tree="0" * 64)
    with pytest.raises(ArchiveError, match=f"digest {archive.tree}, wanted 0000"):
        open_archive(other, tmp_path)
    assert not (tmp_path / ("0" * 64)).exists()


def test_another_archive_than_the_pinned_one_is_refused(archive: Archive, tmp_path: Path) -> None:
    wheel(tmp_path, {**FILES, "shapes/flat.py": "class Other: ...\n"})
    with pytest.raises(ArchiveError, match="is not the archive that the examination names: remove it"):
        open_archive(archive, tmp_path)


def test_an_archive_that_cannot_be_fetched_says_what_to_do(archive: Archive, tmp_path: Path) -> None:
    """pip takes a version that is none for an error before it asks any index."""
    gone = msgspec.structs.replace(archive, filename="other.whl", version="1..0")
    with pytest.raises(ArchiveError, match=r"could not fetch shapes==1\.\.0.*pip download --no-deps.*put it into"):
        open_archive(gone, tmp_path)


def test_without_a_digest_nothing_is_asked(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"no digest of its files; of {archive.filename} it is {archive.tree}"):
        open_archive(msgspec.structs.replace(archive, tree=""), tmp_path)


def test_many_at_once_unpack_one_folder(archive: Archive, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _: open_archive(archive, tmp_path), range(16)))
    assert folders == {tmp_path / archive.tree / "shapes"}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"}, {"name": "a/b"}, {"filename": "../a.whl"}, {"filename": "/etc/passwd"}, {"package": "a b"},
        {"package": "--index-url"}, {"version": "1 --hash"}, {"sha256": "abc"}, {"part": "../x"}, {"part": "/"},
        {"part": "a//b"}, {"name": ""}, {"version": "1\n--pre"}, {"filename": "a\n"},
    ],
)  # fmt: skip
def test_a_definition_cannot_lead_elsewhere(archive: Archive, change: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(archive), **change}, Archive)


@pytest.mark.slow
def test_an_archive_comes_from_the_package_index(tmp_path: Path) -> None:
    """The one test that asks an index: the smallest archive of the examinations that ship."""
    checkout = Path(__file__).resolve().parents[3]
    full = msgspec.toml.decode((checkout / "data" / "examinations" / "full" / "examination.toml").read_bytes())
    fields = next(one for one in full["archive"] if one["name"] == "itsdangerous")
    archive = msgspec.convert(fields, Archive)
    assert (open_archive(archive, tmp_path) / "signer.py").exists()
    wrong = msgspec.structs.replace(archive, sha256="0" * 64)
    (tmp_path / "archives" / archive.filename).unlink()
    with pytest.raises(ArchiveError, match="could not fetch"):
        open_archive(msgspec.structs.replace(wrong, tree="1" * 64), tmp_path)
