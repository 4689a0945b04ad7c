"""`nightschool experiment`: an experiment begun, looked at and ended, and how many conversations one needs.

Owns what is printed and which sentence a number earns. The gateway divides conversations; the traces say what came of
it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
from rich.console import Console
from rich.table import Table

from distill.day import Day
from distill.experiment import LOWER_IS_BETTER, MEASURES, Measure, Measured, measured
from distill.store.store import TraceStore
from gateway.errors import SettingsError
from gateway.experiments.book import Entry
from gateway.sections import Settings
from gateway.settings import Home
from router.canary import STEPS, Canary
from router.decision import Arm
from router.experiment import Experiment, InvalidExperiment, Variant, chances, checked
from router.sequence import FEWEST, Sums, interval, shares_of, units_each

_FIELDS = ("weight", "adapter", "prompt", "answers", "confidence")


class Told(msgspec.Struct, frozen=True):
    """An experiment as the gateway tells it, with the conversations of each arm."""

    entry: Entry
    conversations: Mapping[str, int]


def variant_of(text: str) -> Variant:
    """`name:field=value,field=value`. Raises SettingsError."""
    name, _, rest = text.partition(":")
    given: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        field, mark, value = part.partition("=")
        if not mark or field not in _FIELDS:
            raise SettingsError(f"{part!r} of the arm {name!r} is not understood; there are {', '.join(_FIELDS)}")
        given[field] = value
    if given.get("answers", "student") not in get_args(Arm):
        raise SettingsError(f"the arm {name!r} is answered by student or teacher, not by {given['answers']!r}")
    try:
        return msgspec.convert({"name": name, **given}, Variant, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"the arm {name!r} is wrong: {error}") from error


def experiment_of(name: str, arms: Sequence[str], share: float, expected: int) -> Experiment:
    """Raises SettingsError for what cannot be run."""
    try:
        return checked(Experiment(name, tuple(variant_of(arm) for arm in arms), share, expected))
    except InvalidExperiment as error:
        raise SettingsError(f"this is no experiment: {error}") from error


async def start(settings: Settings, home: Home, experiment: Experiment) -> None:
    """Raises DayError where the gateway refuses it, or is not there."""
    async with _day(settings, home) as day:
        await day.start_experiment(msgspec.to_builtins(experiment))


async def stop(settings: Settings, home: Home, name: str) -> Told:
    """Raises DayError."""
    async with _day(settings, home) as day:
        await day.stop_experiment(name)
        return next(one for one in await _all(day) if one.entry.experiment.name == name)


async def tell(settings: Settings, home: Home, name: str, console: Console) -> None:
    """All experiments in a line each, or what came of one. Raises DayError or SettingsError."""
    async with _day(settings, home) as day:
        known = await _all(day)
    if not name:
        for one in known:
            console.print(line(one))
        if not known:
            console.print("There was no experiment yet.")
        return
    found = next((one for one in known if one.entry.experiment.name == name), None)
    if found is None:
        raise SettingsError(f"there is no experiment '{name}'; there are {', '.join(_names(known)) or 'none'}")
    console.print(line(found))
    if found.entry.canary is not None:
        for sentence in canary_sentences(found.entry.canary):
            console.print(sentence)
        return
    async with await TraceStore.open_to_read(home.data / "traces.db") as store:
        result = await measured(store, await store.watermark(), name, time.time())
    console.print(table(found.entry.experiment, result))
    for sentence in verdict(found.entry.experiment, result):
        console.print(sentence)


def line(told: Told) -> str:
    """One experiment in a line."""
    entry = told.entry
    arms = ", ".join(f"{arm} {count}" for arm, count in told.conversations.items())
    state = entry.state.replace("_", " ")
    if entry.canary is not None and entry.running:
        state = f"at {entry.canary.share:.0%}" + (", paused" if entry.canary.paused else "")
    why = f": {entry.why}" if entry.why else ""
    return f"{entry.experiment.name}: {state}{why} (conversations: {arms})"


def canary_sentences(canary: Canary) -> list[str]:
    """How far a canary is, and what it waits for."""
    labels, pace = canary.labels, canary.pace
    lines = [
        f"Step {canary.at + 1} of {len(STEPS)}: {canary.here} conversations so far, {canary.own} of the candidate's in "
        f"all; a step takes {pace.conversations} and {pace.seconds / 60:.0f} minutes, a promotion {pace.enough} of its "
        "own.",
        f"Answers compared with the teacher's: {labels.seen}, {labels.bad} worse; {pace.worse:.0%} may be. "
        f"Evidence that more are: {_evidence(labels.log)}; that at most twice as many are: "
        f"{_evidence(canary.proof.log)} of {1 / pace.alpha:.0f} wanted.",
    ]
    lines += [
        f"{kind.replace('_', ' ')}: {guard.canary_bad} of {guard.canary} turns, {guard.control_bad} of "
        f"{guard.control} of the one before. Evidence against the candidate: {_evidence(guard.log)}."
        for kind, guard in sorted(canary.guards.items())
    ]
    return [*lines, f"It is paused: {canary.paused}."] if canary.paused else lines


def table(experiment: Experiment, result: Measured) -> Table:
    """Each arm's means."""
    shown = Table(title=f"{experiment.name}: {result.days:.1f} days")
    shown.add_column("of a conversation")
    for arm in experiment.arms:
        shown.add_column(f"{arm.name} ({result.order.count(arm.name)})", justify="right")
    for measure, meaning in MEASURES.items():
        sums = [result.sums.get(arm.name, {}).get(measure, Sums()) for arm in experiment.arms]
        if any(one.units for one in sums):
            shown.add_row(meaning, *[_shown(measure, one.mean) if one.units else "–" for one in sums])
    return shown


def verdict(experiment: Experiment, result: Measured) -> list[str]:
    """What may be said of each arm beside the control, and whether conversations went where they should."""
    control, *others = experiment.arms
    lines = []
    if shares_of(result.order, chances(experiment)).against():
        lines.append(
            f"Conversations went elsewhere than they should have ({_counts(result.order)}): find out why before "
            "anything here is believed."
        )
    if result.mixed:
        lines.append(f"{result.mixed} conversations had several arms and count for none.")
    before = result.sums.get(control.name, {})
    for arm in others:
        after = result.sums.get(arm.name, {})
        for measure in MEASURES:
            if measure in before and measure in after:
                sentence = _compared(measure, before[measure], after[measure], experiment.expected)
                lines.append(f"{arm.name} beside {control.name}, {MEASURES[measure]}: {sentence}")
    return lines or ["No conversation has come yet."]


def _compared(measure: Measure, control: Sums, treated: Sums, expected: int) -> str:
    found = interval(control, treated, expected)
    fewest = min(control.units, treated.units)
    if fewest < FEWEST:
        return f"nothing can be said before each arm has {FEWEST} conversations; the smaller one has {fewest}."
    difference = _difference(measure, found.difference)
    between = f"{difference} (between {_difference(measure, found.low)} and {_difference(measure, found.high)})"
    if found.low <= 0 <= found.high:
        return f"{between}: not decided."
    better = (found.high < 0) == (measure in LOWER_IS_BETTER)
    neutral = measure == "by_student"
    return f"{between}: {('more' if found.low > 0 else 'less') if neutral else 'better' if better else 'worse'}."


def plan(share: float, change: float, a_day: float) -> list[str]:
    """How many conversations it takes. Raises SettingsError."""
    try:
        fixed, anytime = units_each(share, change)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    lines = [
        f"To find, four times in five, that {share:.0%} became {share + change:.0%}, each of two arms needs {anytime} "
        f"conversations where one looks at any time, as `experiment status` does; {fixed} if one looked once, at the "
        "end."
    ]
    if a_day > 0:
        lines.append(
            f"At the {a_day:.1f} conversations a day of late that takes {math.ceil(2 * anytime / a_day)} days."
        )
    lines.append("Finer differences between two adapters show on the same requests: `nightschool router compare`.")
    return lines


async def a_day(home: Home, now: float) -> float:
    """Conversations a day in the last week; 0 where there were none."""
    path = home.data / "traces.db"
    if not path.exists():
        return 0.0
    async with await TraceStore.open_to_read(path) as store:
        begun = [traces[0].created async for traces in store.conversations()]
    lately = [moment for moment in begun if now - moment <= 7 * 86_400]
    return len(lately) / max(1.0, (now - min(lately)) / 86_400) if lately else 0.0


def _day(settings: Settings, home: Home) -> Day:
    return Day.of_home(f"http://{settings.gateway.host}:{settings.gateway.port}", home.data)


async def _all(day: Day) -> list[Told]:
    return [Told(msgspec.convert(one, Entry), one["conversations"]) for one in (await day.experiments())["experiments"]]


def _names(known: Sequence[Told]) -> list[str]:
    return [one.entry.experiment.name for one in known]


def _evidence(log: float) -> str:
    return f"{math.exp(min(log, 20.0)):.3g}"


def _counts(order: Sequence[str]) -> str:
    return ", ".join(f"{arm} {order.count(arm)}" for arm in sorted({*order}))


def _shown(measure: Measure, value: float) -> str:
    return f"{value:.2f} s" if measure == "seconds" else f"{value:.2f}" if measure == "feedback" else f"{value:.1%}"


def _difference(measure: Measure, value: float) -> str:
    if measure == "seconds":
        return f"{value:+.2f} s"
    return f"{value:+.2f}" if measure == "feedback" else f"{100 * value:+.1f} points"
