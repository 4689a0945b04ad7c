"""Commits: the files of one commit out of a git repository, with nothing of that repository run.

Owns where a repository's objects lie, how git is called, and what of a tree is written. Git is asked for objects only:
there is no checkout, so no hook, filter or attribute takes part; of settings it reads the repository's own, none of
which names a program for this; and it can fetch nothing. What comes back is checked all the same. Knows nothing of
conversations, or of who may see which folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from distill.errors import RepositoryError

_PROGRAM_FOLDERS = os.pathsep.join(["/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin"])
_ENVIRONMENT = {
    "PATH": _PROGRAM_FOLDERS,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # a commit is what its digest says
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # the same for earlier versions: a partial clone would fetch what is missing
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}
_QUIET = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
_SECONDS = 60.0  # for one call of git
_LISTED = 16 << 20  # bytes of a tree's listing
_LINK = 4096  # bytes of where a link leads
_BLOCK = 1 << 16
_DISK_BLOCK = 4096
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_CONVERTS = re.compile(rb"\b(?:filter|working-tree-encoding)=|\bident\b")


class Room(msgspec.Struct, frozen=True):
    """How much a commit may have: `files`, and `bytes` that they take on a disk."""

    files: int = 50_000
    bytes: int = 256 << 20


class Unpacked(msgspec.Struct, frozen=True):
    """`bytes` on a disk. `plain`: a checkout has the same files: no attribute asks for others, and it takes all."""

    bytes: int
    plain: bool


class _Entry(msgspec.Struct, frozen=True):
    mode: str
    name: str
    size: int
    path: str

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"

    @property
    def room(self) -> int:
        return -(-self.size // _DISK_BLOCK) * _DISK_BLOCK


def repository_around(folder: Path, roots: Sequence[Path]) -> tuple[Path, Path]:
    """The top folder of the repository that a real folder is in, and where its objects are kept, both inside of one of
    the real `roots`. Raises RepositoryError where there is none, or where it borrows objects from elsewhere."""
    for top in (folder, *folder.parents):
        if not _inside(top, roots):
            break
        if (top / ".git").exists():
            return top, _objects_of(top, roots)
    raise RepositoryError(f"{folder} is in no repository inside of the folders that may be looked into.")


def resolved(git_dir: Path, commit: str) -> str:
    """A commit's whole digest from its beginning, of at least seven digits. Raises RepositoryError."""
    if not _COMMIT.fullmatch(commit):
        raise RepositoryError(f"{commit[:80]!r} is no commit.")
    with _git(git_dir, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}") as told:
        found = told.read(200).decode(errors="replace").strip()
    if not found.startswith(commit):  # a branch of that name
        raise RepositoryError(f"{commit} is the name of something else in that repository.")
    return found


def unpack(git_dir: Path, commit: str, target: Path, room: Room) -> Unpacked:
    """Write a commit's files into `target`, a new folder. Links that lead out of it, and submodules, are left out.

    Raises RepositoryError for a commit that is too large, damaged, or has names that no checkout would write; OSError.
    """
    listed = _listed(git_dir, commit)
    entries = [entry for entry in listed if entry.mode.startswith("100") or (entry.is_link and entry.size <= _LINK)]
    size = sum(entry.room for entry in entries)
    if len(entries) > room.files or size > room.bytes:
        raise RepositoryError(f"The commit {commit} has {len(entries)} files of {size} bytes: too much.")
    target.mkdir(mode=0o700)
    _write(git_dir, target, sorted(entries, key=lambda entry: entry.is_link))  # no file is written through a link
    _cut_links(target, [entry.path for entry in entries if entry.is_link])
    attributes = [target / entry.path for entry in entries if entry.path.rpartition("/")[2] == ".gitattributes"]
    other = any(_converts(file) for file in [git_dir / "info" / "attributes", *attributes])
    return Unpacked(size, plain=not other and not (git_dir / "info" / "sparse-checkout").exists())


def _inside(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _objects_of(top: Path, roots: Sequence[Path]) -> Path:
    """The folder that holds a repository's objects: its own, or for a worktree the one that it belongs to."""
    found = top / ".git"
    if found.is_file():
        found = top / _first_line(found).removeprefix("gitdir: ")
    common = found / "commondir"
    found = (found / _first_line(common) if common.is_file() else found).resolve()
    objects = (found / "objects").resolve()
    if not (_inside(found, roots) and _inside(objects, roots) and objects.is_dir()):
        raise RepositoryError(f"The repository {top} has its objects elsewhere.")
    if (objects / "info" / "alternates").exists():
        raise RepositoryError(f"The repository {top} borrows objects from another.")
    return found


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline(_LINK).strip()


@contextmanager
def _git(git_dir: Path, *arguments: str, given: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
    """What git prints, while it runs. Raises RepositoryError where it fails or takes too long."""
    program = shutil.which("git", path=_PROGRAM_FOLDERS)
    if program is None:
        raise RepositoryError("git is not installed.")
    process = subprocess.Popen(
        [program, f"--git-dir={git_dir}", *_QUIET, *arguments],
        stdin=subprocess.DEVNULL if given is None else given,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd=git_dir,
        start_new_session=True,
    )
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        with process.stdout as told:
            yield told
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    if status:
        raise RepositoryError(f"git cannot read {git_dir}: {arguments[0]} ended with status {status}.")


def _listed(git_dir: Path, commit: str) -> list[_Entry]:
    with _git(git_dir, "ls-tree", "-r", "-z", "-l", "--full-tree", commit) as told:
        listing = told.read(_LISTED)
        if told.read(1):
            raise RepositoryError(f"The commit {commit} has too many files.")
    return [_entry(line) for line in listing.split(b"\0") if line]


def _entry(line: bytes) -> _Entry:
    told, _, name = line.partition(b"\t")
    path = os.fsdecode(name)
    # a tree made by hand may name anything
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")):
        raise RepositoryError(f"A file is called {path!r}.")
    mode, _, digest, size = told.decode().split()
    return _Entry(mode, digest, 0 if size == "-" else int(size), path)


def _write(git_dir: Path, target: Path, entries: Sequence[_Entry]) -> None:
    with tempfile.TemporaryFile() as wanted:
        wanted.writelines(entry.name.encode() + b"\n" for entry in entries)
        wanted.seek(0)
        with _git(git_dir, "cat-file", "--batch", given=wanted) as told:
            for entry in entries:
                if told.readline(200) != f"{entry.name} blob {entry.size}\n".encode():
                    raise RepositoryError(f"{entry.path} cannot be read.")
                _put(target / entry.path, entry.is_link, _content(told, entry))
                told.read(1)


def _put(path: Path, link: bool, parts: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if link:
        path.symlink_to(os.fsdecode(b"".join(parts)))
        return
    with path.open("xb") as file:  # where a file system takes two names for one, this fails
        file.writelines(parts)


def _content(told: IO[bytes], entry: _Entry) -> Iterator[bytes]:
    size = entry.size
    while size:
        part = told.read(min(size, _BLOCK))
        if not part:
            raise RepositoryError(f"git ended before all of {entry.path} was there.")
        yield part
        size -= len(part)


def _cut_links(target: Path, paths: Sequence[str]) -> None:
    """Remove the links that lead out, also by way of others."""
    real = target.resolve()
    links = [target / path for path in paths]
    for link in [link for link in links if not _leads_inside(link, real)]:
        link.unlink()


def _leads_inside(link: Path, real: Path) -> bool:
    try:
        return link.resolve().is_relative_to(real) and not link.readlink().is_absolute()
    except (OSError, RuntimeError):  # in a circle
        return False


def _converts(attributes: Path) -> bool:
    return attributes.is_file() and _CONVERTS.search(attributes.read_bytes()[: 1 << 20]) is not None
