"""What a night does for the router: drafts of a student, gates out of them, and a certificate.

Reads top to bottom: replay, train, choose between gates and rule, certify. A certificate stays until what is served
under it speaks against it, or a test earned one for at least as much. Knows nothing of who puts it to work.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from distill.redact.redactor import Redactor
from distill.routing.certifying import DELTA, Earned, certified, is_due, lacking, within_reach
from distill.routing.comparing import How
from distill.routing.labels import Label, Set, set_of
from distill.routing.replaying import Asked, Counting, Limits, Replayed, answer_served, calibrating, labels, replay
from distill.routing.table import Better, better, scored
from distill.routing.training import TooFewLabels, train
from distill.routing.watching import watched
from distill.store.store import TraceStore
from router.certificate import Certificate, Missing, Scope
from router.gate import probability
from router.groups import Group
from router.guard import Limit
from router.scorer import Gates, Learnt, Rule, Scorer
from router.verify import fault

T = TypeVar("T")
_LAST = 200  # labels that say who student and teacher are


class Holding(msgspec.Struct, frozen=True):
    """What a student has: a certificate, None for none, with its gates, None for the rule. It was looked at last at
    `since` (Unix seconds), and tested so many `times`, the last time with so many `labels` that calibrate. Labels from
    before `counts_from` (Unix seconds) count no more."""

    certificate: Certificate | None = None
    gates: Gates | None = None
    since: float = 0.0
    times: int = 0
    labels: int = 0
    counts_from: float = 0.0


class Findings(msgspec.Struct, frozen=True):
    """What was found out about a student. `gates` are None where the rule stays: `better` says by how much they beat
    it, None where none could be trained. `labels` are all there are, by how they were found, and `worse` those
    of a worse draft; they came within so many `days`. `watched` is the evidence against the certificate that
    there was. Of `asked_again` requests the teacher gave several answers; in `split` these disagree. `tested`
    labels that calibrate were used for a test, 0 where none was, and count for less in the next one; those from
    before `counts_from` (Unix seconds) count no more."""

    replayed: Replayed
    labels: Mapping[How, int]
    worse: Mapping[How, int]
    days: float
    gates: Gates | None
    better: Better | None
    certificate: Certificate | None
    missing: Mapping[Group, Missing]
    watched: Mapping[Group, Limit]
    asked_again: int = 0
    split: int = 0
    tested: int = 0
    counts_from: float = 0.0

    @property
    def broken(self) -> str:
        """Why the certificate that there was holds no longer; empty: it does, or there was none."""
        return "; ".join(
            f"{group}: {guard.bad} of {guard.seen} answers that were compared were worse"
            for group, guard in self.watched.items()
            if guard.against(DELTA)
        )


async def learn(
    store: TraceStore,
    redactor: Redactor,
    student: str,
    asked: Asked,
    teacher: str,
    limits: Limits,
    done: Callable[[], None] = lambda: None,
    now: Holding = Holding(),  # noqa: B008  # a frozen value
    doubted: Collection[str] = frozenset(),
) -> Findings:
    """Ask `student` again what the teacher answered, and the other way round, and see what that earns. `teacher` is
    what a certificate calls it, `now` what the student has. Where that is broken the world is another, and labels from
    before count no more. Conversations with `doubted` traces say nothing.

    Raises sqlite3.Error.
    """
    until = await store.watermark()
    evidence: Mapping[Group, Limit] = {}
    replayed = Replayed()
    if (held := now.certificate) is not None:
        half = msgspec.structs.replace(limits, requests=limits.requests // 2)
        sound = Counting(doubted=doubted)
        replayed = await answer_served(store, redactor, until, student, asked, held.name, half, done, sound)
        evidence = await watched(store, until, held, limits.taught)
        if any(guard.against(DELTA) for guard in evidence.values()):
            now = Holding(since=now.since, times=now.times, counts_from=now.since)
    counting = Counting(now.counts_from, doubted)
    rest = msgspec.structs.replace(limits, requests=max(0, limits.requests - replayed.asked))
    if not replayed.left_alone:
        asking = _replayed(store, redactor, until, student, asked, rest, done, now, counting)
        replayed = replayed.and_then(await asking)
    found = of_now([label async for label in labels(store, until, student, limits.taught, counting)])
    sets: dict[Set, list[Label]] = {"train": [], "calibrate": []}
    for label in found:
        sets[set_of(label.conversation)].append(label)
    gates, beaten, scores = chosen(sets["train"])
    scorer: Scorer = Learnt(gates) if gates is not None else Rule()
    earned, count = Earned(None, {}), len(sets["calibrate"])
    if found:
        scope = Scope(*_student(found[-1]), teacher, scorer.name)
        score = partial(confidence, scorer=scorer)
        taught = list(zip(sets["train"], scores, strict=True))
        if is_due(count, now.labels):
            earned = certified(taught, sets["calibrate"], score, scope, times=now.times + 1)
        else:
            earned = Earned(None, lacking(taught, sets["calibrate"], score, now.times + 1))
        if (held := now.certificate) is not None and _stays(held, earned.certificate, scope):
            gates, beaten, earned = now.gates, None, _instead(held, earned)
    elif now.certificate is not None:  # all labels are forgotten; what was proven is not
        gates, earned = now.gates, Earned(now.certificate, {})
    return Findings(
        replayed,
        Counter(label.how for label in found),
        Counter(label.how for label in found if label.worse),
        _days(found),
        gates,
        beaten,
        earned.certificate,
        earned.missing,
        evidence,
        sum(label.teachers > 1 for label in found),
        sum(label.split for label in found),
        count if earned.tested else 0,
        now.counts_from,
    )


def _stays(held: Certificate, earned: Certificate | None, scope: Scope) -> bool:
    """Whether a certificate that holds is kept: each was earned with a part of the confidence of its own, so that a
    later test which fails takes nothing from it (see `router.certify.spent`)."""
    same = msgspec.structs.replace(held.scope, scorer=scope.scorer) == scope
    return same and (earned is None or not held.groups.keys() <= earned.groups.keys())


def _instead(held: Certificate, earned: Earned) -> Earned:
    missing = {group: told for group, told in earned.missing.items() if group not in held.groups}
    return Earned(held, missing, earned.tested)


async def _replayed(
    store: TraceStore,
    redactor: Redactor,
    until: int,
    student: str,
    asked: Asked,
    limits: Limits,
    done: Callable[[], None],
    now: Holding,
    counting: Counting,
) -> Replayed:
    """A quarter of what may be asked, or as many as teach, from conversations that teach; then those that calibrate. Of
    a student that has no certificate these are not asked for where the first show that all there are cannot be enough
    for one: each draft takes seconds."""
    first = msgspec.structs.replace(limits, requests=min(limits.teaching, math.ceil(limits.requests / 4)))
    replayed = await replay(store, redactor, until, student, asked, "train", first, done, counting)
    if replayed.left_alone:
        return replayed
    if now.certificate is None and not await _within_reach(store, until, student, now, counting):
        replayed.futile = True
        return replayed
    rest = msgspec.structs.replace(limits, requests=limits.requests - replayed.asked)
    more = await replay(store, redactor, until, student, asked, "calibrate", rest, done, counting)
    return replayed.and_then(more)


async def _within_reach(store: TraceStore, until: int, student: str, now: Holding, counting: Counting) -> bool:
    found = of_now([label async for label in labels(store, until, student, counting=counting)])
    taught = [label for label in found if set_of(label.conversation) == "train"]
    possible = await calibrating(store, until, counting)
    return within_reach(taught, partial(confidence, scorer=Rule()), possible, times=now.times + 1)


def of_now(found: Sequence[Label]) -> list[Label]:
    """The labels of the student and the teacher of most of the last ones: a name may have stood for another adapter
    before, and the teacher may have been another."""
    last = found[-_LAST:]
    student = _most(_student(label) for label in last)
    teacher = _most(label.teacher for label in last if label.teacher)
    return [label for label in found if _student(label) == student and label.teacher in ("", teacher)]


def _most(values: Iterable[T]) -> T | None:
    counts = Counter(values).most_common(1)
    return counts[0][0] if counts else None


def chosen(taught: Sequence[Label]) -> tuple[Gates | None, Better | None, Sequence[float]]:
    """Gates, if they beat the rule by more than a standard error on conversations that they had not seen; and the
    scores, by gates that had not seen each, or by the rule."""
    rule = [confidence(label, Rule()) for label in taught]
    try:
        trained = train(taught)
    except TooFewLabels:
        return None, None, rule
    beaten = better(taught, scored(taught, trained, 0.0))
    if not beaten.ships:
        return None, beaten, rule
    return trained.gates, beaten, [probability(told) if math.isfinite(told) else told for told in trained.post]


def confidence(label: Label, scorer: Scorer) -> float:
    """The score that a threshold is set on; -inf of a draft that is never served."""
    if fault(label.request, label.choice):
        return -math.inf
    return scorer.look(label.request).score(label.choice).get("confidence", -math.inf)


def _days(found: Sequence[Label]) -> float:
    """Within how many days labels came; 0 for none."""
    return (max(label.created for label in found) - min(label.created for label in found)) / 86_400 if found else 0.0


def _student(label: Label) -> tuple[str, str, str]:
    note = label.draft.note
    return (note.model, note.adapter or "", note.template) if note is not None else ("", "", "")
