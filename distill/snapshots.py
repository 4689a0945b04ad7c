"""Snapshots: folders with the files as they were in a conversation, by what its agent tells of where it worked.

Owns which folders are looked into, where the files of commits are kept and for how long. A workspace is the word of a
client: its folder counts only inside of the roots, and only a repository that holds its commit. How files come out of a
commit is `commits`'. Knows nothing of what is compared with them.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from distill.commits import Room, Unpacked, repository_around, resolved, unpack
from distill.errors import RepositoryError
from distill.filters.told import Snapshot
from distill.generate.repositories import digest
from distill.workspace import Workspace, after_home

ARCHIVES = "archives"  # beside the copies to explore: what examinations ask about, as it was fetched
_DIGITS = 12  # of a commit, in a folder's name
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ODD = re.compile(r"[^\w.-]")
_LONGEST = 60  # characters of a repository's name
_FILES = "files"
_RECORD = "record.json"
_UNFINISHED = ".making-"
_ABANDONED = 3600.0  # seconds after which nobody is at work in an unfinished folder


class Limits(msgspec.Struct, frozen=True):
    """`each` commit; `bytes` of all that are kept, of which those go that were not used for longest; `made`: how many
    are made at most, since each takes seconds and any client may name commits."""

    each: Room = Room()
    bytes: int = 1 << 30
    made: int = 100


class _Record(msgspec.Struct, frozen=True):
    commit: str
    unpacked: Unpacked


def kept_aside(copy: Path, content: str) -> Path:
    """Where a copy of the exploring agent's with this digest lies, once another has its place."""
    return copy.with_name(f"{copy.name}.{content[:_DIGITS]}")


class Snapshots:
    """Of repositories inside of `roots`, kept in the folder `kept`; `home` is what a replaced home folder stands for.
    `explored` holds the copies that the exploring agent works on. For one night: what was found once is found again."""

    def __init__(
        self, kept: Path, roots: Sequence[Path], home: Path, explored: Path, limits: Limits | None = None
    ) -> None:
        self._kept = kept
        self._roots = [root.resolve() for root in roots]
        self._home = home
        self._explored = explored
        self._limits = limits or Limits()
        self._left = self._limits.made
        self._found: dict[Workspace, Snapshot | None] = {}

    def of(self, workspace: Workspace) -> Snapshot | None:
        """The files as they were; None where nobody told which, or they cannot be had."""
        known = self._found.get(workspace)
        if workspace not in self._found or (known is not None and not known.root.is_dir()):
            self._found[workspace] = known = self._find(workspace)
        return known

    def _find(self, workspace: Workspace) -> Snapshot | None:
        try:
            if not workspace.folder:
                return self._of_explored(workspace)
            return self._of_commit(workspace) if workspace.commit else None
        except (RepositoryError, OSError, ValueError, RuntimeError, msgspec.MsgspecError):
            return None

    def _of_explored(self, workspace: Workspace) -> Snapshot | None:
        """A copy of the exploring agent's, which tells a digest of its files instead of a commit."""
        newest = self._explored / workspace.repository
        if not workspace.repository.isidentifier() or not _DIGEST.fullmatch(workspace.commit):
            return None
        for root in (newest, kept_aside(newest, workspace.commit)):
            if root.is_dir() and not root.is_symlink() and digest(root) == workspace.commit:
                return Snapshot(root, clean=True, whole=True)
        return None

    def _of_commit(self, workspace: Workspace) -> Snapshot | None:
        folder = self._local(workspace.folder)
        top, git_dir = repository_around(folder, self._roots)
        commit = resolved(git_dir, workspace.commit)
        name = f"{_ODD.sub('_', top.name)[:_LONGEST]}-{commit[:_DIGITS]}"
        record = self._record(name) or self._make(name, git_dir, commit)
        root = self._kept / name / _FILES / folder.relative_to(top)
        if record.commit != commit or not root.is_dir():
            return None
        os.utime(self._kept / name / _RECORD)
        return Snapshot(root, clean=workspace.clean and record.unpacked.plain)

    def _local(self, told: str) -> Path:
        """The folder on this machine. Raises RepositoryError for one outside of the roots."""
        rest = after_home(told)
        folder = Path(told if rest is None else f"{self._home}{rest}")
        real = folder.resolve()
        if not folder.is_absolute() or not any(real.is_relative_to(root) for root in self._roots):
            raise RepositoryError(f"{told} is not inside of the folders that may be looked into.")
        return real

    def _record(self, name: str) -> _Record | None:
        try:
            return msgspec.json.decode((self._kept / name / _RECORD).read_bytes(), type=_Record)
        except FileNotFoundError:
            return None

    def _make(self, name: str, git_dir: Path, commit: str) -> _Record:
        """A commit's files under their name, all at once. Raises RepositoryError, OSError."""
        if not self._left:
            raise RepositoryError("There were too many commits already.")
        self._left -= 1
        self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._kept))
        try:
            record = _Record(commit, unpack(git_dir, commit, work / _FILES, self._limits.each))
            (work / _RECORD).write_bytes(msgspec.json.encode(record))
            work.rename(self._kept / name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        self._make_room(name)
        return record

    def _make_room(self, newest: str) -> None:
        """Remove what was not used for longest, until the rest fits; and what was begun and left."""
        used: list[tuple[float, Path, int]] = []
        for folder in self._kept.iterdir():
            with suppress(OSError, msgspec.MsgspecError):
                if folder.name.startswith(_UNFINISHED):
                    if time.time() - folder.stat().st_mtime > _ABANDONED:
                        shutil.rmtree(folder, ignore_errors=True)
                elif record := self._record(folder.name):
                    used.append(((folder / _RECORD).stat().st_mtime, folder, record.unpacked.bytes))
        total = sum(size for _, _, size in used)
        for _, folder, size in sorted(used):
            if total > self._limits.bytes and folder.name != newest:
                gone = folder.rename(folder.with_name(f"{_UNFINISHED}{folder.name}"))
                shutil.rmtree(gone, ignore_errors=True)
                total -= size
