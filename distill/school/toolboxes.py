"""Toolboxes: what each question's tools are: a repository's, in the question's vocabulary, without what is withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distill.generate.question import Question
from distill.school.copies import Repository
from distill.tools import Toolbox
from distill.vocabularies import Vocabulary


class Toolboxes:
    """One for each way in which questions are asked, made when it is first needed."""

    def __init__(self, repositories: Sequence[Repository], vocabularies: Mapping[str, Vocabulary]) -> None:
        self._plain = {one.name: Toolbox(one.root, version=one.digest) for one in repositories}
        self._vocabularies = vocabularies
        self._made: dict[tuple[str, str, tuple[str, ...]], Toolbox] = {}

    def of(self, question: Question) -> Toolbox:
        """Raises KeyError for a question about another repository, or in a vocabulary that is not known."""
        key = question.repository, question.vocabulary, question.withheld
        if key not in self._made:
            vocabulary = self._vocabularies[question.vocabulary]
            self._made[key] = self._plain[question.repository].offering(vocabulary, question.withheld)
        return self._made[key]
