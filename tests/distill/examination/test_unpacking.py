"""Archives are unpacked whole or refused: nothing is written outside, no link, no bomb."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from distill.errors import ArchiveError
from distill.examination.unpacking import Room, unpack


def zipped(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_part_that_is_the_repository_is_written(tmp_path: Path, kind: str) -> None:
    content = {"pkg/a.py": b"x = 1\n", "pkg/deep/b.txt": "naïve\n".encode(), "other/c.py": b"", "pkgs/d.py": b""}
    if kind == "zip":
        path = zipped(tmp_path / "a.whl", *content.items())
    else:
        path = packed(tmp_path / "a.tar.gz", *((entry(f"./{name}"), data) for name, data in content.items()))
    unpack(path, "pkg", tmp_path / "out")
    found = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert found == {"a.py", "deep/b.txt"}
    assert (tmp_path / "out" / "deep" / "b.txt").read_text() == "naïve\n"
    unpack(path, ".", tmp_path / "all")
    assert (tmp_path / "all" / "other" / "c.py").exists()


def test_folders_of_their_own_are_no_fault(tmp_path: Path) -> None:
    folder = of_kind("pkg/", stat.S_IFDIR)
    path = zipped(tmp_path / "a.zip", (folder, b""), ("pkg/a.py", b"1"))
    unpack(path, "pkg", tmp_path / "out")
    path = packed(tmp_path / "b.tgz", (entry(".", tarfile.DIRTYPE), b""), (entry("pkg", tarfile.DIRTYPE), b""),
                  (entry("pkg/a.py"), b"1"), (entry("pkg", tarfile.DIRTYPE), b""))  # fmt: skip
    unpack(path, "pkg", tmp_path / "out2")
    assert (tmp_path / "out2" / "a.py").read_bytes() == b"1"


HOSTILE = [
    "../evil.py", "pkg/../../evil.py", "/evil.py", "pkg//a.py", "pkg/./a.py", "pkg\\..\\evil.py", "C:/evil.py",
    "pkg/a\nb", "pkg/\u202egnp.py", ".git/config", "pkg/.GIT/config", "pkg/" + "a" * 300, "", "..",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_may_lead_elsewhere_refuses_the_archive(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError):
        unpack(packed(tmp_path / "a.tar.gz", (entry("pkg/a.py"), b"1"), (entry(name), b"2")), "pkg", tmp_path / "out")
    info = zipfile.ZipInfo("x")
    info.filename = name  # ZipInfo would mend it
    if name:
        with pytest.raises(ArchiveError):
            unpack(zipped(tmp_path / "a.whl", ("pkg/a.py", b"1"), (info, b"2")), "pkg", tmp_path / "out2")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_file_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = packed(tmp_path / "a.tar.gz", (entry("pkg/a"), b"1"), (entry("pkg/b", kind, "/etc/passwd"), b""))
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        unpack(path, "pkg", tmp_path / "out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_file_are_refused(tmp_path: Path, kind: int) -> None:
    path = zipped(tmp_path / "a.whl", ("pkg/a", b"1"), (of_kind("pkg/b", kind), b"/etc/passwd"))
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        unpack(path, "pkg", tmp_path / "out")


@pytest.mark.parametrize(
    "names", [("pkg/a.py", "pkg/A.py"), ("pkg/é", "pkg/e\u0301"), ("pkg/a", "pkg/a/b"), ("pkg/a/b", "pkg/a")]
)
def test_two_members_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """Some file systems take names for the same that others tell apart."""
    with pytest.raises(ArchiveError):
        unpack(zipped(tmp_path / "a.whl", *((name, b"1") for name in names)), "pkg", tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_bombs_are_refused(tmp_path: Path, kind: str) -> None:
    zeros = b"\0" * 3_000_000
    if kind == "zip":
        path = zipped(tmp_path / "a.whl", ("pkg/a", zeros))
    else:
        path = packed(tmp_path / "a.tar.gz", (entry("pkg/a"), zeros))
    assert path.stat().st_size < 10_000
    with pytest.raises(ArchiveError, match="bytes"):
        unpack(path, "pkg", tmp_path / "out", Room(bytes=1_000_000))
    with pytest.raises(ArchiveError, match="more than 2 members"):
        unpack(zipped(tmp_path / "b.whl", *((f"pkg/{n}", b"") for n in range(3))), ".", tmp_path / "o", Room(members=2))


def test_a_size_that_the_header_hides_is_noticed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.whl", ("pkg/a", b"\0" * 3_000_000))
    content = path.read_bytes()
    path.write_bytes(content.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(ArchiveError):
        unpack(path, "pkg", tmp_path / "out", Room(bytes=1_000_000))


@pytest.mark.parametrize("name", ["a.whl", "a.zip", "a.tar.gz", "a.rar"])
def test_what_is_no_archive_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive at all")
    with pytest.raises(ArchiveError, match=name):
        unpack(tmp_path / name, ".", tmp_path / "out")


def test_a_part_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="nothing under 'src'"):
        unpack(zipped(tmp_path / "a.whl", ("pkg/a", b"1")), "src", tmp_path / "out")
