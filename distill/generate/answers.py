"""Known answers: what is right, where a question is one of the templates' and the files that it is about are at hand.

Owns the way from a question's words to the facts that answer it. Knows nothing of traces, and of no other questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Set
from functools import lru_cache
from pathlib import Path

from distill.facts import Facts, collect
from distill.generate.fills import fillings
from distill.generate.oracle import right
from distill.generate.question import Oracle, Question
from distill.generate.templates import Phrasebook, Recognised, Template, load_templates

_REPOSITORIES = 16  # whose facts are held
_LONGEST = 1000  # characters of a question that can be a template's

_Slots = frozenset[tuple[str, str]]
_Known = tuple[tuple[str, ...], Oracle]


class Answers:
    """By one set of templates. Facts are read when somebody asks: files of a folder must not change meanwhile."""

    def __init__(self, templates: Iterable[Template]) -> None:
        self._templates: dict[str, list[Template]] = defaultdict(list)  # by whose phrasings they have
        for template in templates:
            self._templates[template.of or template.name].append(template)
        self._book = Phrasebook(template for alike in self._templates.values() for template in alike)
        self._facts = lru_cache(_REPOSITORIES)(collect)
        self._known = lru_cache(_REPOSITORIES * len(self._templates))(self._oracles)

    @classmethod
    def from_folder(cls, folder: Path) -> Answers:
        """Raises QuestionError where the folder's templates are damaged."""
        return cls(load_templates(folder))

    def knows(self, question: str) -> bool:
        """Whether a question is one of the templates', whatever it is about."""
        return self._recognise(question) is not None

    def right(self, root: Path, question: str, answer: str, offered: Set[str] | None = None) -> bool | None:
        """Whether an answer to a question about the files below `root` is right; None: the templates cannot say.

        `offered` are the exploring agent's tools that it could be looked with, None for all of them: without those
        that are needed, another answer is right.
        """
        recognised = self._recognise(question)
        if recognised is None:
            return None
        name = recognised.template.name
        known = self._known(root, name).get(frozenset(recognised.slots.items()), ())
        asked = [Question("", root.name, "", name, question, [], oracle) for oracle in _that_count(known, offered)]
        return any(right(one, answer) for one in asked) if asked else None

    def _recognise(self, question: str) -> Recognised | None:
        return self._book.recognise(question) if len(question) <= _LONGEST else None

    def _oracles(self, root: Path, name: str) -> dict[_Slots, list[_Known]]:
        """What is right for each way to fill the slots of a question, and without which tools."""
        facts: Facts = self._facts(root)
        found: dict[_Slots, list[_Known]] = defaultdict(list)
        for template in self._templates[name]:
            for slots, oracle in fillings(facts, template):
                found[frozenset(slots.items())].append((template.withheld, oracle))
        return found


def _that_count(known: Iterable[_Known], offered: Set[str] | None) -> list[Oracle]:
    """The right answers with these tools: of what is said without some tools, only where all of these are missing."""
    without = [oracle for withheld, oracle in known if withheld and offered is not None and not offered & {*withheld}]
    return without or [oracle for withheld, oracle in known if not withheld]
