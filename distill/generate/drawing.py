"""Drawing: a set of questions over many repositories, as large as is wanted. Knows nothing of who will answer it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence, Set
from pathlib import Path

from distill.facts import Facts, collect
from distill.generate.question import Question
from distill.generate.questions import RESULT_LIMIT, SHARES, Source, choose, quotas
from distill.generate.repositories import digest
from distill.generate.templates import Template
from distill.tools import Toolbox

REPETITION = 24  # questions of one template about one repository


async def draw(
    repositories: Sequence[Path],
    templates: Sequence[Template],
    total: int,
    seed: int,
    *,
    shares: dict[str, int] = SHARES,
    limit: int = RESULT_LIMIT,
    exclude: Set[str] = frozenset(),
    progress: Callable[[], None] = lambda: None,
    facts_of: Callable[[Path], Facts] = collect,
) -> list[Question]:
    """Up to `total` questions about folders of code, whose names are the repositories' names.

    Every category has its share of `total`, spread over the repositories: what one lacks, others give. No template
    asks about one repository more than REPETITION times, and no two questions are alike (`distill.generate.alike`).
    Where a category runs dry there are fewer questions: `shortfall` says how many. The same files give the same
    questions, on any machine. `limit` bounds the characters of a question's results; `exclude` holds texts not to ask;
    `progress` is called after each question that is found; `facts_of` gives a folder's facts, which may be kept ones.

    Raises QuestionError for two repositories of one name and a template that is damaged, RepositoryError for a folder
    that is none.
    """
    sources = [await asyncio.to_thread(_source, root, facts_of) for root in repositories]
    return await choose(
        sources,
        templates,
        total,
        seed,
        shares=shares,
        limit=limit,
        exclude=exclude,
        repetition=REPETITION,
        progress=progress,
    )


def shortfall(questions: Sequence[Question], total: int, shares: dict[str, int] = SHARES) -> dict[str, int]:
    """For each category that gave fewer questions than its share of `total`, how many are missing."""
    found = Counter(question.category for question in questions)
    wanted = quotas(total, shares)
    return {category: count - found[category] for category, count in wanted.items() if found[category] < count}


def _source(root: Path, facts_of: Callable[[Path], Facts]) -> Source:
    toolbox = Toolbox(root, version=digest(root))
    return Source(facts_of(root), toolbox)
