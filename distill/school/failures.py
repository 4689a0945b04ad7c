"""Failures of an examination as what a set of questions should be about.

Owns how a result's failures become weights of templates. It takes kinds of questions from a result, and the names of
the repositories that it asks about, which are not to be asked about again; no text, so what is examined stays unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from pathlib import Path

import msgspec

from distill.errors import QuestionError
from distill.generate.templates import Template

RESULT = "result.json"
_NOTHING_TO_LEARN = frozenset({"endpoint error"})  # causes that are not the student's


class Failure(msgspec.Struct, frozen=True):
    """A question that went wrong: of which template and category, in which tool vocabulary, and why."""

    template: str = ""
    category: str = ""
    vocabulary: str = ""
    cause: str = ""


class Failed(msgspec.Struct, frozen=True):
    """What a result says: what went wrong, and the `repositories` that were examined."""

    failures: list[Failure] = []
    repositories: list[str] = []


class _Result(Failed, frozen=True):
    failures: list[Failure]


def read_failures(run: Path) -> Failed:
    """Of an examination's folder or its result file. Raises QuestionError."""
    path = run / RESULT if run.is_dir() else run
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Result)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise QuestionError(f"{path} is no result of an examination: {error}") from error
    failures = [failure for failure in found.failures if failure.cause not in _NOTHING_TO_LEARN]
    if not failures:
        raise QuestionError(f"nothing failed in {path} that could be learnt")
    return Failed(failures, found.repositories)


def weights_of(failures: Sequence[Failure], templates: Sequence[Template]) -> dict[str, int]:
    """How often templates are wanted, in proportion to their failures. A failure of a question that no template made
    counts for all templates of its category alike.

    Raises QuestionError where nothing failed that the templates can ask about.
    """
    alike: dict[str, list[str]] = {}
    for template in templates:
        alike.setdefault(template.category, []).append(template.name)
    known = {template.name for template in templates}
    found: Counter[str] = Counter()
    exact: dict[str, Fraction] = {}
    for failure in failures:
        names = [failure.template] if failure.template in known else alike.get(failure.category, [])
        for name in names:
            exact[name] = exact.get(name, Fraction(0)) + Fraction(1, len(names))
    if not exact:
        raise QuestionError("nothing failed there that the question templates can ask about")
    unit = lcm(*(share.denominator for share in exact.values()))
    found.update({name: int(share * unit) for name, share in exact.items()})
    return dict(sorted(found.items()))
