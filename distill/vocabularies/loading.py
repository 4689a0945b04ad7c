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
        self._known = {one: _shapes(one) for one in (EXPLORE, *known)}

    def of(self, tools: Sequence[Tool] | None) -> Vocabulary:
        """The vocabulary with most of the tools by name and parameters, and fewest others; the exploring agent's own
        where none has any."""
        offered = {_shape(tool) for tool in tools or ()}
        shared = {one: len(shapes & offered) for one, shapes in self._known.items()}
        best = max(shared, key=lambda one: (shared[one], -len(self._known[one])))
        return best if shared[best] else EXPLORE

    def able(self, tools: Sequence[Tool] | None) -> frozenset[str] | None:
        """Which of the exploring agent's own tools the offered ones stand for; None where nobody knows what one of them
        can do."""
        vocabulary = self.of(tools)
        if not {_shape(tool) for tool in tools or ()} <= _shapes(vocabulary):
            return None
        return vocabulary.able({tool.function.name for tool in tools or ()})


def _shapes(vocabulary: Vocabulary) -> frozenset[tuple[str, frozenset[str]]]:
    return frozenset(map(_shape, vocabulary.specs))


def _shape(tool: Tool) -> tuple[str, frozenset[str]]:
    properties = tool.function.parameters.get("properties")
    return tool.function.name, frozenset(properties if isinstance(properties, dict) else ())
