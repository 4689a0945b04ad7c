"""Known answers: what is right, where a question is one of the templates' and the files that it is about are at hand.

Owns the way from a question's words to the facts that answer it. Knows nothing of traces, and of no other questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from distill.errors import RepositoryError
from distill.facts import Facts, collect
from distill.generate.fills import fillings
from distill.generate.oracle import right
from distill.generate.question import Oracle, Question
from distill.generate.templates import Phrasebook, Recognised, Template, load_templates
from distill.vocabularies import Vocabularies, Vocabulary, load_vocabularies
from router.chat import Tool

_REPOSITORIES = 16  # whose facts are held
_LONGEST = 1000  # characters of a question that can be a template's

_Slots = frozenset[tuple[str, str]]


class _Known(NamedTuple):
    """What is right for one way to fill a template's slots."""

    template: Template
    oracle: Oracle


class Answers:
    """By one set of templates, asked in some vocabularies. `facts_of` gives the facts of a folder when somebody asks,
    which may be kept ones; files must not change meanwhile, and of a folder in which some do nothing is known."""

    def __init__(
        self,
        templates: Iterable[Template],
        vocabularies: Iterable[Vocabulary] = (),
        facts_of: Callable[[Path], Facts] = collect,
    ) -> None:
        self._templates: dict[str, list[Template]] = defaultdict(list)  # by whose phrasings they have
        for template in templates:
            self._templates[template.of or template.name].append(template)
        self._vocabularies = Vocabularies(vocabularies)
        self._book = Phrasebook(template for alike in self._templates.values() for template in alike)
        self._facts = lru_cache(_REPOSITORIES)(facts_of)
        self._known = lru_cache(_REPOSITORIES * len(self._templates))(self._oracles)

    @classmethod
    def from_folder(cls, folder: Path, vocabularies: Path, facts_of: Callable[[Path], Facts] = collect) -> Answers:
        """Raises QuestionError where a folder's templates or vocabularies are damaged."""
        return cls(load_templates(folder), load_vocabularies(vocabularies).values(), facts_of)

    def knows(self, question: str) -> bool:
        """Whether a question is one of the templates', whatever it is about."""
        return self._recognise(question) is not None

    def needs_tool(self, question: str) -> bool | None:
        """Whether one has to look at something to answer; None: the templates cannot say."""
        recognised = self._recognise(question)
        return bool(recognised.template.plan) if recognised is not None else None

    def category(self, root: Path | None, question: str, tools: Sequence[Tool] | None) -> str | None:
        """Which category a question is of, if `root` is at hand by what is there; None: the templates cannot say."""
        recognised = self._recognise(question)
        if recognised is None:
            return None
        known = self._which(root, recognised, tools) if root is not None else []
        return known[0].template.category if known else recognised.template.category

    def right(self, root: Path, question: str, answer: str, tools: Sequence[Tool] | None = None) -> bool | None:
        """Whether an answer to a question about the files below `root` is right; None: the templates cannot say.

        `tools` are those that were offered, None: all that are needed; without these, another answer is right.
        """
        recognised = self._recognise(question)
        if recognised is None:
            return None
        name = recognised.template.name
        known = self._which(root, recognised, tools)
        asked = [Question("", root.name, "", name, question, [], one.oracle) for one in known]
        return any(right(one, answer) for one in asked) if asked else None

    def _recognise(self, question: str) -> Recognised | None:
        return self._book.recognise(question) if len(question) <= _LONGEST else None

    def _which(self, root: Path, recognised: Recognised, tools: Sequence[Tool] | None) -> list[_Known]:
        """The right answers with these tools: of what is said without some tools, only where all of these are
        missing."""
        able = None if tools is None else self._vocabularies.able(tools)
        known = self._known(root, recognised.template.name).get(frozenset(recognised.slots.items()), ())
        withheld = [(one, frozenset(one.template.withheld)) for one in known]
        without = [one for one, missing in withheld if missing and able is not None and not able & missing]
        return without or [one for one, missing in withheld if not missing]

    def _oracles(self, root: Path, name: str) -> dict[_Slots, list[_Known]]:
        """What is right for each way to fill the slots of a question."""
        facts: Facts = self._facts(root)
        found: dict[_Slots, list[_Known]] = defaultdict(list)
        try:
            for template in self._templates[name]:
                for slots, oracle in fillings(facts, template):
                    found[frozenset(slots.items())].append(_Known(template, oracle))
        except RepositoryError:  # a file is not what its fact says
            return {}
        return found
