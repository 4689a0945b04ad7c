"""Questions with their oracles, chosen from what repositories and templates offer.

Owns the choice: seeded, in the categories' shares, spread over repositories, none twice or nearly so, and only such
questions whose planned calls give short results that allow the right answer. The right answer itself comes from the
facts.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from math import ceil

import msgspec

from distill.errors import QuestionError
from distill.facts import Facts
from distill.generate.alike import Alike
from distill.generate.filling import Filling, Slots
from distill.generate.fills import fillings
from distill.generate.question import Oracle, Question
from distill.generate.templates import CATEGORIES, Phrasebook, Template, fill
from distill.generate.trying import Candidate, Trial
from distill.tools import Toolbox

__all__ = ["SHARES", "Oracle", "Question", "Source", "choose", "generate", "quotas"]

SHARES = dict(zip(CATEGORIES, (2, 2, 2, 1, 1), strict=True))
RESULT_LIMIT = 700  # characters of all results of one question together


class Source(msgspec.Struct, frozen=True):
    """A repository that is asked about."""

    facts: Facts
    toolbox: Toolbox


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
    """Up to `count` questions about one repository, as `choose` does."""
    source = Source(facts, toolbox)
    return await choose([source], templates, count, seed, limit=limit, shares=shares, exclude=exclude)


async def choose(
    sources: Sequence[Source],
    templates: Sequence[Template],
    total: int,
    seed: int,
    *,
    limit: int = RESULT_LIMIT,
    shares: dict[str, int] = SHARES,
    exclude: Set[str] = frozenset(),
    repetition: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[Question]:
    """Up to `total` questions in a mixed order; fewer where the repositories offer no more. The same arguments give
    the same questions. `limit` bounds the characters of a question's results, unless its template says otherwise;
    `exclude` holds texts not to ask; `repetition` bounds how often a template asks about one repository. `progress` is
    called after each question that is found.

    Half of the questions that need no tool are pairs of one that does, as far as there are any.

    Raises QuestionError where a template names a fill that does not exist.
    """
    choice = _Choice(sources, templates, seed, limit, exclude, repetition, progress)
    wanted = quotas(total, {category: shares[category] for category in shares if category in choice.categories})
    for category, quota in sorted(wanted.items(), key=lambda one: one[0] == "negative"):  # pairs need the others first
        if category == "negative":
            await choice.take(category, ceil(quota / 2), paired=True)
        await choice.take(category, quota - choice.taken[category])
    return choice.mixed()


def quotas(count: int, shares: dict[str, int]) -> dict[str, int]:
    """Whole numbers in the shares' proportion that sum to `count`: largest remainders get what is left over."""
    total = sum(shares.values())
    exact = {category: count * share / total for category, share in shares.items()}
    found = {category: int(value) for category, value in exact.items()}
    by_remainder = sorted(exact, key=lambda category: found[category] - exact[category])
    for category in by_remainder[: count - sum(found.values())]:
        found[category] += 1
    return found


class _Choice:
    """What was chosen so far, and what there is to choose from."""

    def __init__(
        self,
        sources: Sequence[Source],
        templates: Sequence[Template],
        seed: int,
        limit: int,
        exclude: Set[str],
        repetition: int | None,
        progress: Callable[[], None],
    ) -> None:
        self._sources = {source.facts.repository: source for source in sources}
        if len(self._sources) < len(sources):
            raise QuestionError("two repositories have the same name")
        self._trials = {name: Trial(name, source.toolbox, limit) for name, source in self._sources.items()}
        self._templates = templates
        self._book = Phrasebook(templates)
        self._chance = random.Random(f"{seed}/{'/'.join(self._sources)}")
        self._exclude = exclude
        self._alike = Alike()
        self._repetition = repetition
        self._progress = progress
        self._chosen: list[Question] = []
        self._used: Counter[tuple[str, str]] = Counter()  # by repository and template
        self._asked: Counter[tuple[str, str]] = Counter()  # by repository and category
        self._positive: dict[tuple[str, str], list[tuple[Slots, str]]] = defaultdict(list)
        self._pools: dict[tuple[str, str], list[Filling]] = {}

    @property
    def categories(self) -> set[str]:
        return {template.category for template in self._templates}

    @property
    def taken(self) -> Counter[str]:
        return Counter(question.category for question in self._chosen)

    def mixed(self) -> list[Question]:
        self._chance.shuffle(self._chosen)
        return self._chosen

    async def take(self, category: str, quota: int, *, paired: bool = False) -> None:
        """Chooses up to `quota` questions of a category: with `paired`, such as are a pair of one that was chosen."""
        left = quota
        candidates = self._candidates(category, paired)
        while left > 0 and (candidate := next(candidates, None)) is not None:
            repository, asked = candidate
            question = await self._trials[repository].question(asked)
            if question is not None:
                self._keep(question, asked)
                left -= 1

    def _keep(self, question: Question, asked: Candidate) -> None:
        self._chosen.append(question)
        self._alike.add(question.text)
        self._used[question.repository, question.template] += 1
        self._asked[question.repository, question.category] += 1
        self._positive[question.repository, question.template].append((asked.recognised.slots, question.id))
        self._progress()

    def _candidates(self, category: str, paired: bool) -> Iterator[tuple[str, Candidate]]:
        """Candidates, templates drawn by weight, each about the repository with the fewest questions, until there are
        no more; with `paired`, until there are no more pairs."""
        templates = [template for template in self._templates if template.category == category]
        while templates:
            (template,) = self._chance.choices(templates, [template.weight for template in templates])
            repository = self._next_repository(template, paired)
            if repository is None:
                templates.remove(template)
                continue
            slots, oracle = self._pool(repository, template).pop()
            if candidate := self._worded(template, slots, oracle, self._pair_of(repository, template, slots)):
                yield repository, candidate

    def _next_repository(self, template: Template, paired: bool) -> str | None:
        """The one with the fewest questions of the category, of those for which the template has something left."""
        offering = [name for name in self._sources if self._offers(name, template, paired)]
        return min(offering, key=lambda name: self._asked[name, template.category], default=None)

    def _offers(self, repository: str, template: Template, paired: bool) -> bool:
        if self._repetition is not None and self._used[repository, template.name] >= self._repetition:
            return False
        pool = self._pool(repository, template)
        return bool(pool) and (not paired or bool(self._pair_of(repository, template, pool[-1][0])))

    def _pool(self, repository: str, template: Template) -> list[Filling]:
        """What is left of a template's fillings, what comes next at the end: first of all what makes a pair."""
        key = repository, template.name
        if key not in self._pools:
            found = list(fillings(self._sources[repository].facts, template))
            self._chance.shuffle(found)
            self._pools[key] = sorted(found, key=lambda one: bool(self._pair_of(repository, template, one[0])))
        return self._pools[key]

    def _pair_of(self, repository: str, template: Template, slots: Slots) -> str:
        """The question that needs a tool and has these slots, as far as both have slots of the same names."""
        for name in template.pair:
            for known, identity in self._positive[repository, name]:
                common = known.keys() & slots.keys()
                if common and all(known[slot] == slots[slot] for slot in common):
                    return identity
        return ""

    def _worded(self, template: Template, slots: Slots, oracle: Oracle, pair: str) -> Candidate | None:
        """The question in a wording in which it is neither like another one nor taken for one of another template."""
        meant = template.of or template.name
        for phrasing in self._chance.sample(template.phrasings, len(template.phrasings)):
            text = fill(phrasing, slots)
            recognised = self._book.recognise(text)
            if recognised is None or (recognised.template.name, recognised.slots) != (meant, slots):
                continue
            if text not in self._exclude and not self._alike.has(text):
                return Candidate(template, recognised, text, oracle, pair)
        return None
