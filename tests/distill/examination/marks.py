"""Marks for tests: questions that went as they are told."""

from __future__ import annotations

from distill.examination.marking import Mark


def mark(
    number: int,
    *,
    right: bool = True,
    called: bool = True,
    needed: bool = True,
    exact: bool | None = None,
    category: str = "search",
    repository: str = "r",
    seconds: float = 1.0,
    calls: int = 1,
    shortest: int = 1,
    repeats: int = 0,
    end: str = "answered",
    alone: bool = True,
) -> Mark:
    good = right if exact is None else exact
    return Mark(
        question=f"q{number}",
        category=category,
        needed=needed,
        called=called,
        exact=good,
        right=right,
        seconds=seconds,
        equivalent=good,
        calls=calls,
        shortest=shortest,
        repeats=repeats,
        end=end,
        template="t",
        repository=repository,
        alone=alone,
    )


def marks(right: int, of: int, **more: object) -> list[Mark]:
    """So many right ones first."""
    return [mark(number, right=number < right, **more) for number in range(of)]  # type: ignore[arg-type]
