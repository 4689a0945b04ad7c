"""Which language a file is in. Owns the names; the content is not looked at."""

from __future__ import annotations

import posixpath

PYTHON = "python"
DECLARING = frozenset(
    {"javascript", "typescript", "tsx", "go", "rust", "java", "c", "ruby"}
)  # whose grammars are known
_SUFFIXES = {
    PYTHON: "py pyi pyw",
    "javascript": "js jsx mjs cjs",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "c": "c h",
    "cpp": "cc cpp cxx hh hpp hxx",
    "csharp": "cs",
    "ruby": "rb rake gemspec",
    "php": "php",
    "kotlin": "kt kts",
    "swift": "swift",
    "scala": "scala",
    "lua": "lua",
    "perl": "pl pm",
    "r": "r",
    "shell": "sh bash zsh",
    "sql": "sql",
    "html": "html htm",
    "css": "css scss",
    "jinja": "jinja jinja2 j2",
    "markdown": "md markdown",
    "restructuredtext": "rst",
    "text": "txt",
    "json": "json",
    "toml": "toml",
    "yaml": "yaml yml",
    "xml": "xml",
    "ini": "ini cfg",
}
_BY_SUFFIX = {f".{suffix}": language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BY_NAME = {"Makefile": "make", "Dockerfile": "docker", "Rakefile": "ruby", "Gemfile": "ruby"}


def language_of(path: str) -> str:
    """The language that a file's name tells, or ''."""
    name = posixpath.basename(path)
    return _BY_NAME.get(name) or _BY_SUFFIX.get(posixpath.splitext(name)[1].lower(), "")
