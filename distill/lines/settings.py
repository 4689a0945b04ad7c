"""A git repository's own settings: whether they can make git run anything. Owns which of them are plain."""

from __future__ import annotations

import re
from pathlib import Path

_LARGEST = 1 << 16  # bytes
_SECTION = re.compile(r'\[(core|remote|branch|user|init)(?: "[^"\\\n]*")?\]')
_SETTING = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*=[^\\\n]*")
_PLAIN = {
    "core": frozenset(
        [
            "repositoryformatversion",
            "filemode",
            "bare",
            "logallrefupdates",
            "ignorecase",
            "precomposeunicode",
            "symlinks",
        ]
    ),
    "remote": frozenset({"url", "fetch", "pushurl", "tagopt"}),
    "branch": frozenset({"remote", "merge", "rebase"}),
    "user": frozenset({"name", "email"}),
    "init": frozenset({"defaultbranch"}),
}


def plain_settings(root: Path) -> bool:
    """Whether a folder is a repository with nothing but plain settings: no program for differences, texts, files that
    changed or pages, nothing that includes others, and no other repository that stands behind it."""
    inner = root / ".git"
    settings = inner / "config"
    try:
        if inner.is_symlink() or settings.is_symlink() or (inner / "commondir").exists() or not settings.is_file():
            return False
        with settings.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, UnicodeError):
        return False
    return len(text) <= _LARGEST and _are_plain(text)


def _are_plain(text: str) -> bool:
    allowed: frozenset[str] = frozenset()
    for line in (raw.strip() for raw in text.split("\n")):
        if found := _SECTION.fullmatch(line):
            allowed = _PLAIN[found[1]]
        elif found := _SETTING.fullmatch(line):
            if found[1].lower() not in allowed:
                return False
        elif line and not line.startswith("#"):
            return False
    return True
