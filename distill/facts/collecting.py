"""Facts about a repository, out of its source alone: what the right answers are made from.

Owns which files are read, within which limits, and what reads them. Knows nothing of questions or of tools; that the
answers of questions come from here and not from the tools' output is what makes them an oracle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from distill.facts.apart import Apart
from distill.facts.contents import MAX_FILE_BYTES, content_of, is_binary, text_of
from distill.facts.languages import DECLARING, PYTHON, language_of
from distill.facts.listing import folders
from distill.facts.python import read_module
from distill.facts.records import Facts, FileFact, Passed


class Limits(msgspec.Struct, frozen=True):
    """How much of a repository is read: `files`, their `bytes` together and each; `entries` of folders are listed."""

    files: int = 50_000
    bytes: int = 100_000_000
    file_bytes: int = MAX_FILE_BYTES
    entries: int = 2_000_000


def collect(root: Path, repository: str | None = None, limits: Limits | None = None) -> Facts:
    """The facts of a folder. What does not parse, cannot be read or is too much is counted, not failed on."""
    passed: Counter[str] = Counter()
    texts: dict[str, str] = {}
    facts = Facts(repository or root.name, [], {}, [], [], [], [], texts, 0, [])
    with Apart() as apart:
        for path, content in contents(root, limits or Limits(), facts.folders, passed):
            binary = is_binary(content)
            text = "" if binary else text_of(content)
            first = text.split("\n", 1)[0].rstrip()
            language = language_of(path)
            facts.files.append(FileFact(path, len(content), content.count(b"\n"), first, binary, language))
            if not binary:
                texts[path] = text
                _add_code(facts, apart, path, language, content, passed)
    return msgspec.structs.replace(facts, skipped=passed.total(), passed=dict(sorted((+passed).items())))


def contents(
    root: Path, limits: Limits, listed: dict[str, list[str]], passed: Counter[str]
) -> Iterator[tuple[str, bytes]]:
    """What is read, in a steady order; the folders go into `listed`, and what is not read is counted."""
    files_left, bytes_left = limits.files, limits.bytes
    for folder in folders(root, limits.files, limits.entries, passed):
        if folder.entries is not None and files_left:
            listed[folder.path] = folder.entries
        passed[Passed.FILES] += max(0, len(folder.files) - files_left)
        for name in folder.files[:files_left]:
            files_left -= 1
            path = name if folder.path == "." else f"{folder.path}/{name}"
            content = content_of(root / path, limits.file_bytes) if bytes_left > 0 else Passed.BYTES
            if isinstance(content, Passed):
                passed[content] += 1
                continue
            bytes_left -= len(content)
            yield path, content


def _add_code(facts: Facts, apart: Apart, path: str, language: str, content: bytes, passed: Counter[str]) -> None:
    if language == PYTHON:
        module = read_module(path, content)
        if isinstance(module, Passed):
            passed[module] += 1
            return
        facts.classes.extend(module.classes)
        facts.functions.extend(module.functions)
        facts.imports.extend(module.imports)
        facts.constants.extend(module.constants)
    elif language in DECLARING:
        declared = apart.read(path, language, content)
        if isinstance(declared, Passed):
            passed[declared] += 1
            return
        facts.declarations.extend(declared)
