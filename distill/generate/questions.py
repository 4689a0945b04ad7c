"""Questions with their oracles, generated from a repository's facts and the templates.

Owns the choice: seeded, in the categories' shares, none twice, and only such questions whose planned calls, run
through the real tools, give short results that allow the right answer. The right answer itself comes from the facts.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator, Set
from itertools import islice

import msgspec

from distill.errors import QuestionError
from distill.facts import Facts
from distill.generate.expert import arguments_text
from distill.generate.fills import FILLS, Filling
from distill.generate.oracle import right
from distill.generate.question import Oracle, Question
from distill.generate.templates import CATEGORIES, Call, Phrasebook, Recognised, Template, fill, proceed
from distill.tools import Toolbox

__all__ = ["SHARES", "Oracle", "Question", "generate"]

SHARES = dict(zip(CATEGORIES, (2, 2, 2, 1, 1), strict=True))
RESULT_LIMIT = 700  # characters of all results of one question together
_BATCH = 8


class _Candidate(msgspec.Struct, frozen=True):
    template: Template
    recognised: Recognised
    text: str
    oracle: Oracle


async def generate(
    facts: Facts,
    templates: list[Template],
    toolbox: Toolbox,
    count: int,
    seed: int,
    *,
    limit: int = RESULT_LIMIT,
    shares: dict[str, int] = SHARES,
    exclude: Set[str] = frozenset(),
) -> list[Question]:
    """Up to `count` questions in a mixed order; fewer where the repository offers no more. The same arguments give
    the same questions. `limit` bounds the characters of a question's results, unless its template says otherwise;
    `exclude` holds texts not to ask.

    Raises QuestionError where a template names a fill that does not exist.
    """
    chance = random.Random(f"{seed}/{facts.repository}")
    book = Phrasebook(templates)
    chosen: list[Question] = []
    texts = set(exclude)
    present = {template.category for template in templates}
    wanted = {category: share for category, share in shares.items() if category in present}
    for category, quota in _quotas(count, wanted).items():
        pools = {t.name: (t, _pool(facts, t, chance)) for t in templates if t.category == category}
        stream = _candidates(pools, book, texts, chance)
        chosen += await _accept(stream, quota, facts.repository, toolbox, limit)
    chance.shuffle(chosen)
    return chosen


def _quotas(count: int, shares: dict[str, int]) -> dict[str, int]:
    """Whole numbers in the shares' proportion that sum to `count`: largest remainders get what is left over."""
    total = sum(shares.values())
    exact = {category: count * share / total for category, share in shares.items()}
    quotas = {category: int(value) for category, value in exact.items()}
    by_remainder = sorted(exact, key=lambda category: quotas[category] - exact[category])
    for category in by_remainder[: count - sum(quotas.values())]:
        quotas[category] += 1
    return quotas


def _pool(facts: Facts, template: Template, chance: random.Random) -> list[Filling]:
    if template.fill not in FILLS:
        raise QuestionError(f"template {template.name}: there is no fill {template.fill!r}")
    found = list(FILLS[template.fill](facts, template))
    chance.shuffle(found)
    return found


def _candidates(
    pools: dict[str, tuple[Template, list[Filling]]], book: Phrasebook, texts: set[str], chance: random.Random
) -> Iterator[_Candidate]:
    """Candidates, templates drawn by weight, until all pools are empty. Each text once, also across categories."""
    while pools := {name: pool for name, pool in pools.items() if pool[1]}:
        weights = [template.weight for template, _ in pools.values()]
        template, fillings = pools[chance.choices(list(pools), weights)[0]]
        slots, oracle = fillings.pop()
        text = fill(chance.choice(template.phrasings), slots)
        recognised = book.recognise(text)
        meant = template.of or template.name
        if text in texts or recognised is None or recognised.template.name != meant or recognised.slots != slots:
            continue
        texts.add(text)
        yield _Candidate(template, recognised, text, oracle)


async def _accept(
    stream: Iterator[_Candidate], quota: int, repository: str, toolbox: Toolbox, limit: int
) -> list[Question]:
    accepted: list[Question] = []
    while len(accepted) < quota and (batch := list(islice(stream, _BATCH))):
        tried = await asyncio.gather(*(_try(candidate, repository, toolbox, limit) for candidate in batch))
        accepted += [question for question in tried if question is not None]
    return accepted[:quota]


async def _try(candidate: _Candidate, repository: str, toolbox: Toolbox, limit: int) -> Question | None:
    """The question, if its calls give short results from which the right answer follows: a pattern that matches too
    much or too little for the facts is found out here."""
    calls: list[Call] = []
    results: list[str] = []
    outcome = proceed(candidate.recognised, results)
    while outcome.call is not None:
        calls.append(outcome.call)
        results.append(await toolbox.call(outcome.call.name, arguments_text(outcome.call.arguments)))
        outcome = proceed(candidate.recognised, results)
    if sum(map(len, results)) > (candidate.template.limit or limit):
        return None
    identity = hashlib.sha256(f"{repository}\0{candidate.text}".encode()).hexdigest()[:12]
    question = Question(
        id=identity,
        repository=repository,
        category=candidate.template.category,
        template=candidate.template.name,
        text=candidate.text,
        plan=calls,
        oracle=candidate.oracle,
    )
    return question if right(question, outcome.answer) else None
