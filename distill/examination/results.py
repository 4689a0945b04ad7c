"""The result of an examination: result.json as structs, and how it follows from answers. docs/exam.md has the form.

Pure. Knows nothing of endpoints, terminals or pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from distill.examination.answers import Answered
from distill.examination.arms import Arm, student_of
from distill.examination.comparison import Comparison, compare, two_sided
from distill.examination.decision import PlanDecision, decide
from distill.examination.failures import Failure, counted, failure, wanted
from distill.examination.figures import Figures, by_category, figures, succeeded
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.examination.rows import Row, Standing, four_rows
from distill.examination.sitting import FAILURES
from distill.examination.teaching import Sat, Teacher, lessons, teacher_of

FORM = "examination-1"


class ArmResult(msgspec.Struct, frozen=True):
    """One arm. `scored` is False where its endpoint failed too often, and `reason` says how; then it has no figures.
    Tokens are means per question, None where the endpoint does not count them; `peak_memory` is in bytes."""

    label: str
    role: str
    model: str
    place: str
    prompt: str
    scored: bool
    reason: str
    asked: int
    failed: int
    peak_memory: int | None
    prompt_tokens: float | None
    completion_tokens: float | None
    figures: Figures | None
    categories: dict[str, Figures]
    causes: dict[str, int]
    failures: list[Failure]


class Candidate(msgspec.Struct, frozen=True):
    """A teacher beside the student; `recommended` is the one that answers most questions with success. `p_value`:
    exact, two-sided, that it is as good as the recommended one."""

    label: str
    model: str
    teacher: Teacher
    recommended: bool
    p_value: float | None


class Doubtful(msgspec.Struct, frozen=True):
    """A question that no arm answered right, the teacher included: it may be wrong itself."""

    id: str
    template: str
    category: str
    repository: str
    question: str


class Result(msgspec.Struct, frozen=True):
    """`student` is the label of the arm that is decided upon, "" where none was scored; `failures` are its failures,
    and `wanted` the kinds of questions that each cause hit."""

    examination: Sat
    repositories: list[str]
    categories: dict[str, int]
    at_once: int
    max_tokens: int
    when: str
    student: str
    arms: list[ArmResult]
    rows: list[Row]
    decision: PlanDecision | None
    comparisons: list[Comparison]
    teachers: list[Candidate]
    doubtful: list[Doubtful]
    failures: list[Failure]
    wanted: dict[str, dict[str, int]]
    notes: list[str]
    form: Literal["examination-1"] = "examination-1"


class Circumstances(msgspec.Struct, frozen=True):
    """What a result tells beside what the arms did."""

    examination: Sat
    at_once: int
    max_tokens: int
    when: str
    memory: Mapping[str, int | None]  # bytes, by label
    notes: list[str]


def result_of(
    items: Sequence[Item], arms: Sequence[Arm], answers: Mapping[str, Mapping[str, Answered]], seen: Circumstances
) -> Result:
    """`answers` are those of each arm, by label and question's id."""
    told = [_arm(arm, items, answers.get(arm.label, {}), seen.memory.get(arm.label)) for arm in arms]
    scored = {one.label for one in told if one.scored}
    marks = {arm.label: _marks(items, answers.get(arm.label, {})) for arm in arms if arm.label in scored}
    student = student_of([arm for arm in arms if arm.label in scored])
    standings = {
        one.label: Standing(one.figures, one.peak_memory) for one in told if one.figures is not None and one.scored
    }
    mine = next((one for one in told if student and one.label == student.label), None)
    failures = mine.failures if mine else []
    success = mine.figures.success if mine and mine.figures else None
    return Result(
        examination=seen.examination,
        repositories=sorted({item.question.repository for item in items}),
        categories=dict(sorted(Counter(item.question.category for item in items).items())),
        at_once=seen.at_once,
        max_tokens=seen.max_tokens,
        when=seen.when,
        student=student.label if student else "",
        arms=told,
        rows=four_rows(standings),
        decision=decide(success.hits, success.of) if success else None,
        comparisons=_comparisons(arms, marks, student),
        teachers=_candidates(arms, marks, student),
        doubtful=_doubtful(items, arms, marks),
        failures=failures,
        wanted=wanted(failures),
        notes=[*seen.notes, *_notes(told, standings)],
    )


def _arm(arm: Arm, items: Sequence[Item], answers: Mapping[str, Answered], memory: int | None) -> ArmResult:
    there = [(item, answers[item.question.id]) for item in items if item.question.id in answers]
    errors = [one.error for _, one in there if one.failed]
    failures = [found for item, one in there if (found := failure(item, one)) is not None]
    reason = _unscored(len(items), len(there), errors)
    marks = [one.mark for _, one in there]
    answered = [one for _, one in there if not one.failed]
    counts = bool(answered) and any(one.prompt_tokens for one in answered)
    return ArmResult(
        label=arm.label,
        role=arm.role,
        model=arm.model,
        place=arm.place,
        prompt=arm.prompt.name if arm.prompt else "",
        scored=not reason,
        reason=reason,
        asked=len(there),
        failed=len(errors),
        peak_memory=memory,
        prompt_tokens=sum(one.prompt_tokens for one in answered) / len(answered) if counts else None,
        completion_tokens=sum(one.completion_tokens for one in answered) / len(answered) if counts else None,
        figures=None if reason else figures(marks),
        categories={} if reason else by_category(marks),
        causes=counted(failures),
        failures=failures,
    )


def _unscored(items: int, there: int, errors: Sequence[str]) -> str:
    """Why an arm has no scores; empty where it has."""
    if len(errors) > FAILURES * items:
        kind, count = Counter(errors).most_common(1)[0]
        left = f", {items - there} were not asked any more" if there < items else ""
        return f"its endpoint failed {len(errors)} of {there} questions{left}; {count} times: {kind[:300]}"
    if there < items:
        return f"only {there} of {items} questions were asked"
    return ""


def _marks(items: Sequence[Item], answers: Mapping[str, Answered]) -> list[Mark]:
    return [answers[item.question.id].mark for item in items if item.question.id in answers]


def _comparisons(arms: Sequence[Arm], marks: Mapping[str, Sequence[Mark]], student: Arm | None) -> list[Comparison]:
    """The student against every other arm: what came before it first, the teachers as what it is to become."""
    found: list[Comparison] = []
    for arm in arms:
        if student is None or arm.label == student.label or arm.label not in marks:
            continue
        pair = (arm.label, student.label) if arm.role != "teacher" else (student.label, arm.label)
        found += compare(pair[0], marks[pair[0]], pair[1], marks[pair[1]])
    return found


def _candidates(arms: Sequence[Arm], marks: Mapping[str, Sequence[Mark]], student: Arm | None) -> list[Candidate]:
    """The teachers, the best first; of two that are as good, the faster one."""
    teachers = [arm for arm in arms if arm.role == "teacher" and arm.label in marks]
    if student is None or not teachers:
        return []

    def order(arm: Arm) -> tuple[float, float]:
        hits = sum(succeeded(mark) for mark in marks[arm.label])
        return (-hits, sum(mark.seconds for mark in marks[arm.label]))

    ranked = sorted(teachers, key=order)
    best = {mark.question: succeeded(mark) for mark in marks[ranked[0].label]}
    found = []
    for arm in ranked:
        gained = sum(succeeded(mark) and not best[mark.question] for mark in marks[arm.label])
        lost = sum(best[mark.question] and not succeeded(mark) for mark in marks[arm.label])
        told = teacher_of(arm.label, lessons(marks[student.label], marks[arm.label]))
        first = arm is ranked[0]
        found.append(Candidate(arm.label, arm.model, told, first, None if first else two_sided(gained, lost)))
    return found


def _doubtful(items: Sequence[Item], arms: Sequence[Arm], marks: Mapping[str, Sequence[Mark]]) -> list[Doubtful]:
    """The ceiling rule: what not even a teacher answers says nothing of a student. Empty without a teacher."""
    if not any(arm.role == "teacher" and arm.label in marks for arm in arms):
        return []
    answered = {mark.question for made in marks.values() for mark in made if mark.right}
    return [
        Doubtful(q.id, q.template, q.category, q.repository, q.text)
        for q in (item.question for item in items)
        if q.id not in answered
    ]


def _notes(told: Sequence[ArmResult], standings: Mapping[str, Standing]) -> list[str]:
    notes = [f"{one.label} is not scored: {one.reason}" for one in told if not one.scored]
    for row in four_rows(standings):
        for name, cell in row.cells.items():
            spread = _spread(row.key, standings[name])
            if cell.state == "met" and spread is not None and spread[0] <= row.target:
                notes.append(
                    f"{row.label} of {name} meets its target if questions are independent; by whole repositories its "
                    f"interval is {100 * spread[0]:.0f}–{100 * spread[1]:.0f} %, which does not show it."
                )
    return notes


def _spread(key: str, arm: Standing) -> tuple[float, float] | None:
    return {"tool": arm.figures.tool.clustered, "right_answers": arm.figures.right_answers.clustered}.get(key)
