"""Archives unpacked: wheels, zip files and gzipped tar files, as untrusted as anything that was fetched.

Owns which members are written and how much. Nothing but plain files and folders is accepted, under names that mean the
same on every file system; one odd member refuses the whole archive. Knows nothing of where archives come from.
"""

from __future__ import annotations

import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from distill.errors import ArchiveError

SUFFIXES = (".whl", ".zip", ".tar.gz", ".tgz")
_BLOCK = 1 << 16
_LONGEST = 200  # bytes of a name's part; file systems take 255
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class Room(msgspec.Struct, frozen=True):
    """How much an archive may have: `members`, and `bytes` of what is written."""

    members: int = 20_000
    bytes: int = 64 << 20


class _Member(msgspec.Struct, frozen=True):
    name: str
    folder: bool
    plain: bool
    size: int
    source: Any


def unpack(archive: Path, part: str, target: Path, room: Room | None = None) -> None:
    """Write the files under the archive's folder `part` ("." for all of it) into `target`, a new folder.

    Raises ArchiveError for what is no archive, is damaged, has a member that is not written anywhere, or too much.
    """
    room = room or Room()
    target.mkdir(parents=True)
    try:
        with _opened(archive) as opened:
            _write(opened, part, target, room)
    except _DAMAGED as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}") from error
    if not any(target.iterdir()):
        raise ArchiveError(f"{archive.name} has nothing under {part!r}.")


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if archive.name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as zipped:
            yield zipped
    elif archive.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(archive, "r:gz") as packed:
            yield packed
    else:
        raise ArchiveError(f"{archive.name} is none of {', '.join(SUFFIXES)}.")


def _write(opened: zipfile.ZipFile | tarfile.TarFile, part: str, target: Path, room: Room) -> None:
    taken: dict[str, bool] = {}
    left = room.bytes
    for number, member in enumerate(_members(opened), start=1):
        if number > room.members:
            raise ArchiveError(f"There are more than {room.members} members.")
        _check(member, taken)
        inside = _inside(member.name, part)
        if member.folder or inside is None:
            continue
        if member.size > left:  # before a tar file is read as far as the next member
            raise ArchiveError(f"There are more than {room.bytes} bytes.")
        file = target / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        left -= _copy(opened, member, file, left)


def _members(opened: zipfile.ZipFile | tarfile.TarFile) -> Iterator[_Member]:
    if isinstance(opened, tarfile.TarFile):
        for entry in opened:
            yield _Member(entry.name.removeprefix("./"), entry.isdir(), entry.isfile(), entry.size, entry)
        return
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where another system than Unix wrote it
        plain = kind in (0, stat.S_IFREG) and not info.is_dir()
        yield _Member(
            info.filename.rstrip("/"), info.is_dir() and kind in (0, stat.S_IFDIR), plain, info.file_size, info
        )


def _check(member: _Member, taken: dict[str, bool]) -> None:
    """Raises ArchiveError for a member that is no plain file or folder, or has a name that could lead elsewhere."""
    if member.folder and member.name in ("", "."):
        return
    if not (member.plain or member.folder):
        raise ArchiveError(f"{member.name!r} is neither a file nor a folder.")
    pieces = member.name.split("/")
    if any(_odd(piece) for piece in pieces):
        raise ArchiveError(f"{member.name!r} is no name to write to.")
    known = [unicodedata.normalize("NFC", "/".join(pieces[: end + 1])).casefold() for end in range(len(pieces))]
    if any(taken.get(folder) is False for folder in known[:-1]) or (known[-1] in taken and not member.folder):
        raise ArchiveError(f"{member.name!r} has the name of another member.")
    taken.update(dict.fromkeys(known[:-1], True))
    if taken.setdefault(known[-1], member.folder) != member.folder:
        raise ArchiveError(f"{member.name!r} is a file and a folder.")


def _odd(piece: str) -> bool:
    hidden = any(unicodedata.category(letter) in ("Cc", "Cs", "Cf") for letter in piece)
    reserved = piece in ("", ".", "..") or piece.casefold() == ".git" or len(piece.encode(errors="replace")) > _LONGEST
    return hidden or reserved or bool(set(piece) & set("\\:"))


def _inside(name: str, part: str) -> str | None:
    if part == ".":
        return name
    return name.removeprefix(f"{part}/") if name.startswith(f"{part}/") else None


def _copy(opened: zipfile.ZipFile | tarfile.TarFile, member: _Member, file: Path, left: int) -> int:
    """The bytes that were written; what a header says of them is not believed."""
    written = 0
    with _content(opened, member.source) as source, file.open("xb") as copy:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > left:
                raise ArchiveError("There are more bytes than are allowed.")
            copy.write(block)
    return written


def _content(opened: zipfile.ZipFile | tarfile.TarFile, source: Any) -> IO[bytes]:
    if isinstance(opened, zipfile.ZipFile):
        return opened.open(source)
    content = opened.extractfile(source)
    if content is None:
        raise ArchiveError(f"{source.name!r} has no content.")
    return content
