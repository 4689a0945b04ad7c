"""What the agents work on: git copies of packages that are installed here, with nothing changed in them.

Owns which packages, and where the copies lie. Knows nothing of questions or agents.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distill.facts import Facts, collect

PACKAGES = (  # pure Python, a few thousand lines each
    *("tenacity", "pluggy", "packaging", "h11", "structlog", "click", "uvicorn", "platformdirs", "httpcore", "anyio"),
    *("aiosqlite", "iniconfig", "jinja2", "httpx2", "respx"),
)
_SOMEBODY = {
    **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@example.com" for who in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True)
class Repository:
    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @cached_property
    def commit(self) -> str:
        return _git(self.root, "rev-parse", "HEAD").strip()

    @cached_property
    def facts(self) -> Facts:
        return collect(self.root)


def copied(folder: Path, names: Sequence[str] = PACKAGES) -> list[Repository]:
    """Copies below `folder`, one for each package that is here: a repository `x` with the package `x` in it."""
    made = []
    for name in names:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations:
            made.append(_copy(Path(next(iter(found.submodule_search_locations))), folder / name))
    return made


def _copy(package: Path, root: Path) -> Repository:
    for source in sorted(package.rglob("*.py")):
        target = root / source.relative_to(package.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    _git(root, "init", "--quiet")
    _git(root, "add", ".")
    _git(root, "commit", "--quiet", "--message", "As installed")
    return Repository(root)


def _git(root: Path, *words: str) -> str:
    environment = {**os.environ, **_SOMEBODY}
    done = subprocess.run(["git", *words], cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout
