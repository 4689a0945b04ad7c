"""From the store to what may be learnt: each conversation through the filters, with what is known of it.

Owns what the filters are told: outcomes, the teacher's samples and a judge's opinions out of the store, what is a
secret, what results are read again on, and what is right. Holds one conversation at a time. Knows nothing of datasets
or training.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from pathlib import Path

from distill.confinement import Confined, confinement
from distill.examination.teaching import TEACHING, read_teaching
from distill.filters import Rules, Sifted, Told, sift
from distill.generate.answers import Answers
from distill.outcome import Outcome
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.snapshots import Snapshots
from distill.store.store import TraceStore
from distill.trace import Trace
from distill.trajectory import Run
from distill.workspace import workspace_of
from router.chat import ChatRequest


class Collector:
    """The filters over a data folder's store. Nothing about `reserved` repositories is ever learnt; results are read
    again on `snapshots`, in the machine's confinement where a program is needed; there `answers` know what is right of
    what the exploring agent was asked. Opinions of the model `judge` count; those of one that was named before do
    not. What a teacher that was compared does not teach is not learnt. Raises ExaminationError where the comparison's
    file is damaged."""

    def __init__(
        self,
        store: TraceStore,
        data: Path,
        rules: Rules,
        reserved: Set[str] = frozenset(),
        snapshots: Snapshots | None = None,
        judge: str = "",
        answers: Answers | None = None,
    ) -> None:
        self._store = store
        self.redactor = Redactor(key_at(data / "redact.key"))
        self.rules = rules
        self._reserved = reserved
        self._snapshots = snapshots
        self.judge = judge
        self._answers = answers
        self._teaching = read_teaching(data / TEACHING)
        way = confinement() if snapshots is not None else None
        self._confined = Confined(way) if way is not None else None

    async def sifted(self, until: int) -> AsyncIterator[Sifted]:
        """Every conversation with traces up to the number `until`, as the filters leave it."""
        async for traces in self._store.conversations(until):
            for found in sift([traces], await self.told(traces)):
                yield found

    async def told(self, traces: list[Trace]) -> Told:
        """What is known of one conversation besides its traces."""
        known: dict[str, list[Outcome]] = {}
        for outcome in await self._store.outcomes([trace.id for trace in traces]):
            known.setdefault(outcome.trace, []).append(outcome)
        return Told(
            self.rules,
            reserved=self._reserved,
            outcomes=lambda trace: known.get(trace, ()),
            samples=lambda trace: [one.sample for one in known.get(trace, ()) if one.sample is not None],
            judge=(lambda _, run: _judged(run, known, self.judge)) if self.judge else None,
            finds_secret=lambda text: self.redactor.text(text) is not text,
            snapshot=self._snapshots.of if self._snapshots is not None else None,
            confined=self._confined,
            oracle=self._oracle(traces),
            needs_tool=self._answers.needs_tool if self._answers is not None else None,
            category=self._category(traces) if self._teaching is not None else None,
            teaches=self._teaching.teaches if self._teaching is not None else None,
        )

    def _oracle(self, traces: Sequence[Trace]) -> Callable[[str, str], bool | None] | None:
        """What says whether an answer is right: only on files that are surely all that there were."""
        answers = self._answers
        if answers is None or self._snapshots is None or not traces:
            return None
        request = traces[-1].request

        def oracle(question: str, answer: str) -> bool | None:
            root = self._root(request, question)
            return answers.right(root, question, answer, request.tools or ()) if root is not None else None

        return oracle

    def _category(self, traces: Sequence[Trace]) -> Callable[[str], str | None] | None:
        """What says which category a question is of."""
        answers = self._answers
        if answers is None or not traces:
            return None
        request = traces[-1].request
        return lambda question: answers.category(self._root(request, question), question, request.tools or ())

    def _root(self, request: ChatRequest, question: str) -> Path | None:
        """The files that a known question is about, where they are surely all; looked for only then."""
        if self._answers is None or self._snapshots is None or not self._answers.knows(question):
            return None
        files = self._snapshots.of(workspace_of(request))
        return files.root if files is not None and files.whole else None


def _judged(run: Run, known: Mapping[str, Sequence[Outcome]], judge: str) -> bool | None:
    """What a judge said of a run last; None where it was not asked, or said nothing clear."""
    final = run.final.trace if run.final is not None else None
    said = [one for one in known.get(final.id, ()) if is_opinion(one, judge)] if final is not None else []
    return None if not said or said[-1].score is None else said[-1].score > 0


def is_opinion(outcome: Outcome, judge: str) -> bool:
    """Whether this is what the model `judge` said."""
    return outcome.kind == "judged" and outcome.client == judge
