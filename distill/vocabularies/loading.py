"""The vocabularies' files: loaded, checked, and found again by the tools that a request offers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from distill.errors import QuestionError
from distill.vocabularies.checking import fault
from distill.vocabularies.explore import EXPLORE, NAME
from distill.vocabularies.vocabulary import Spoken, Vocabulary
from router.chat import Tool

_CUT = "(truncated: {missing} more characters)"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    like: str
    error: str
    tool: list[Spoken]
    cut: str = _CUT


def load_vocabularies(folder: Path) -> dict[str, Vocabulary]:
    """The exploring agent's own, and one for each TOML file of a folder, by the file's name. Raises QuestionError
    naming file and fault."""
    found: dict[str, Vocabulary] = {NAME: EXPLORE}
    for path in sorted(folder.glob("*.toml")):
        try:
            file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
        except (OSError, ValueError) as error:
            raise QuestionError(f"{path}: {error}") from error
        made = Vocabulary(path.stem, file.like, file.tool, error=file.error, cut=file.cut)
        if path.stem == NAME:
            raise QuestionError(f"{path}: {NAME} is the exploring agent's own vocabulary and has no file")
        if wrong := fault(made):
            raise QuestionError(f"{path}: {wrong}")
        if same := [name for name, other in found.items() if _shapes(other) == _shapes(made)]:
            raise QuestionError(f"{path}: its tools are those of {same[0]}, so nobody could tell which one is spoken")
        found[path.stem] = made
    return found


class Vocabularies:
    """Some vocabularies, of which the one is found that a request's tools belong to."""

    def __init__(self, known: Iterable[Vocabulary] = ()) -> None:
        self._known = {vocabulary.name: vocabulary for vocabulary in (EXPLORE, *known)}

    def of(self, tools: Sequence[Tool] | None) -> Vocabulary:
        """The vocabulary with most of the tools by name and parameters, and fewest others; the exploring agent's own
        where none has any."""
        offered = {_shape(tool) for tool in tools or ()}
        shared = {name: len(_shapes(one) & offered) for name, one in self._known.items()}
        best = max(shared, key=lambda name: (shared[name], -len(self._known[name].specs)))
        return self._known[best] if shared[best] else EXPLORE


def _shapes(vocabulary: Vocabulary) -> frozenset[tuple[str, frozenset[str]]]:
    return frozenset(map(_shape, vocabulary.specs))


def _shape(tool: Tool) -> tuple[str, frozenset[str]]:
    properties = tool.function.parameters.get("properties")
    return tool.function.name, frozenset(properties if isinstance(properties, dict) else ())
