"""The texts of files whose facts were read before. Owns reading them again, once somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from distill.errors import RepositoryError
from distill.facts.contents import content_of, text_of
from distill.facts.records import FileFact, Passed


class Texts(Mapping[str, str]):
    """By path, of files that are not binary. All are read at the first look; raises RepositoryError where one of them
    is no longer as its fact says."""

    def __init__(self, root: Path, files: Iterable[FileFact]) -> None:
        self._root = root
        self._files = {file.path: file for file in files if not file.binary}

    def __getitem__(self, path: str) -> str:
        return self._read[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    @cached_property
    def _read(self) -> dict[str, str]:
        return {path: self._text(file) for path, file in self._files.items()}

    def _text(self, file: FileFact) -> str:
        content = content_of(self._root / file.path, file.size)
        if isinstance(content, Passed) or (len(content), content.count(b"\n")) != (file.size, file.lines):
            raise RepositoryError(f"{self._root / file.path} is not as it was when the facts were read.")
        return text_of(content)
