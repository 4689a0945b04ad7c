"""Archives: the repositories of frozen examinations, each pinned by its archive's SHA-256 and its files' digest.

Owns where they are kept and that they are the right ones. They come out of the user's package index once, and are
opened without a network afterwards. Knows nothing of what is asked about them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import msgspec

from distill.digest import file_digest
from distill.errors import ArchiveError, PackageError
from distill.examination.unpacking import SUFFIXES, unpack
from distill.generate.repositories import digest
from distill.packages import fetch_wheel
from distill.snapshots import ARCHIVES
from distill.unfinished import unfinished

_Plain = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,120}\Z")]  # a file's name, and no path
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Archive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A repository called `name`: the folder `part` ("." for all) of the archive `filename`, which the package index
    has as `package` of `version`. `tree` is the digest of its files."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,60}\Z")]
    package: _Plain
    version: _Plain
    filename: _Plain
    sha256: _Digest
    part: Annotated[str, msgspec.Meta(pattern=r"^(\.|[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)\Z")]
    licence: str
    tree: str = ""


def open_archive(archive: Archive, repositories: Path) -> Path:
    """The repository's folder, `repositories`/<tree>/<name>, fetched and unpacked where it is not there yet.

    Raises ArchiveError where it cannot be had, or its files are not those that the digest names: then nothing that was
    found out about them counts.
    """
    folder = repositories / archive.tree / archive.name
    if not re.fullmatch(r"[0-9a-f]{64}", archive.tree):
        found = tree_of(archive, repositories)
        raise ArchiveError(f"{archive.name} has no digest of its files; of {archive.filename} it is {found}.")
    if not folder.is_dir():
        with unfinished(repositories) as work:
            _settle(_unpacked(archive, repositories, work), archive, folder)
    if (found := digest(folder)) != archive.tree:
        raise ArchiveError(
            f"the files of {archive.name} in {folder} are not those that the examination asks about (digest {found}, "
            f"wanted {archive.tree}), so nothing is scored: remove the folder, and it is unpacked again"
        )
    return folder


def tree_of(archive: Archive, repositories: Path) -> str:
    """The digest of the files in an archive, whatever its `tree` says. Raises ArchiveError."""
    with unfinished(repositories) as work:
        return digest(_unpacked(archive, repositories, work))


def _unpacked(archive: Archive, repositories: Path, work: Path) -> Path:
    unpack(_fetched(archive, _made(repositories / ARCHIVES)), archive.part, work / archive.name)
    return work / archive.name


def _settle(unpacked: Path, archive: Archive, folder: Path) -> None:
    """Puts the files where they belong, if they are the right ones; another process may have been faster."""
    if (found := digest(unpacked)) != archive.tree:
        raise ArchiveError(
            f"the files of {archive.name} in {archive.filename} are not those that the examination asks about (digest "
            f"{found}, wanted {archive.tree}), so nothing is scored"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _fetched(archive: Archive, folder: Path) -> Path:
    kept = folder / archive.filename
    if not archive.filename.endswith(SUFFIXES):
        raise ArchiveError(f"{archive.filename} is none of {', '.join(SUFFIXES)}.")
    if kept.exists():
        if file_digest(kept) != archive.sha256:
            raise ArchiveError(f"{kept} is not the archive that the examination names: remove it and start again")
        return kept
    try:
        fetched = fetch_wheel(f"{archive.package}=={archive.version}", archive.sha256, folder)
    except PackageError as error:
        raise ArchiveError(
            f"{error}. The examination needs {archive.filename}; where there is a network, `pip download --no-deps "
            f"{archive.package}=={archive.version}` fetches it; put it into {folder}"
        ) from error
    if fetched != kept:
        shutil.move(fetched, kept)
    return kept


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
