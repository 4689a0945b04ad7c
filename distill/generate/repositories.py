"""Installed Python packages as repositories to explore. Owns the copying; knows nothing of what is asked of them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from distill.digest import combined_digest, file_digest
from distill.errors import RepositoryError

_CODE = (".py", ".pyi", ".html", ".css", ".js", ".sh", ".jinja")
_PROSE = (".txt", ".md", ".rst", ".toml", ".cfg", ".ini", ".json", ".yaml", ".yml", ".typed")
TEXT_SUFFIXES = frozenset(_CODE + _PROSE)
MAX_FILE_BYTES = 300_000
MAX_FILES = 400
MAX_TOTAL_BYTES = 8_000_000


def snapshot(package: str, folder: Path) -> Path:
    """A copy of the package's text files in `folder`/<package>, made afresh.

    What is copied depends on the package's own files alone: by name, up to the caps above. Raises RepositoryError
    where there is no such package, or it has no files of its own.
    """
    source = _source(package)
    target = folder / package
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for path in _texts(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if not any(target.iterdir()):
        raise RepositoryError(f"The package {package} has no text files.")
    return target


def digest(repository: Path) -> str:
    """A name for the repository's content: the same files give the same digest on any machine."""
    files = sorted(path for path in repository.rglob("*") if path.is_file())
    return combined_digest(f"{path.relative_to(repository).as_posix()} {file_digest(path)}" for path in files)


def _source(package: str) -> Path:
    if not package.isidentifier():
        raise RepositoryError(f"{package!r} is not the name of a top-level Python package.")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError) as error:
        raise RepositoryError(f"The package {package} cannot be found: {error}") from error
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise RepositoryError(f"There is no installed package {package}; install it or choose another.")
    return Path(folders[0])


def _texts(source: Path) -> list[Path]:
    taken: list[Path] = []
    total = 0
    for path in sorted(source.rglob("*")):
        plain = path.is_file() and not path.is_symlink() and path.suffix in TEXT_SUFFIXES
        if not plain or "__pycache__" in path.parts or b"\0" in path.read_bytes()[:8192]:
            continue
        size = path.stat().st_size
        if size <= MAX_FILE_BYTES and total + size <= MAX_TOTAL_BYTES and len(taken) < MAX_FILES:
            taken.append(path)
            total += size
    return taken
