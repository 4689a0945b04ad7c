"""`nightschool night`: one night on the gateway that runs, or on one started for it. Owns that choice."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from distill.dataset import Mixture, alone
from distill.day import Day
from distill.errors import DistillError, QuestionError
from distill.examination.frozen import DEFINITION
from distill.examination.items import passages
from distill.examination.scores import Score
from distill.examination.setting import Examination, frozen_in, read_examination
from distill.filters import Rules
from distill.labelling import Limits
from distill.night.course import Night, night
from distill.night.diary import Stage
from distill.night.foretelling import Foretold, foretell
from distill.night.pausing import paused
from distill.night.settings import NightOver, NightSettings, Progress, part_of
from distill.routing.replaying import Limits as RouterLimits
from distill.snapshots import Snapshots
from gateway.errors import SettingsError
from gateway.learning import learn_of, sentences
from gateway.morning.running import line as morning_line
from gateway.nighttables import tell_foretold
from gateway.processes.child import running_or_own
from gateway.progress import Bars
from gateway.prompts import prompt_named
from gateway.reports.pieces import shown
from gateway.sections import Settings
from gateway.settings import Home, made_model, model_folder, shared

# Of the time that a night has left, at most, to ask the day's requests again: an adapter, after which nothing comes,
# and what serves, before everything else.
_REPLAYING, _REPLAYING_SERVED = 0.9, 0.15


class Wish(msgspec.Struct, frozen=True):
    """What is asked of a night. `examination` is the name of one that ships with Nightschool, or a file; `hours` are
    those it has, None: as many as it takes; `until` is the stage after which it stops."""

    examination: str = ""
    hours: float | None = None
    until: Stage | None = None


async def run_night(settings: Settings, home: Home, arguments: list[str], wish: Wish, console: Console) -> Night:
    """One night. `arguments` are those with which a gateway is started when none runs."""
    chosen = _chosen(settings, home, wish)
    if pause := paused(home.data, time.time()):
        raise NightOver("nothing", pause)
    with alone(home.data / "datasets"):
        pass  # whoever comes second hears of the night, not of the gateway that this one may have started
    proven: list[str] = []
    async with _gateway(settings, home, arguments, "night") as day:
        made_model(chosen.base)  # by the gateway, if it is the embedded one
        with Bars(console) as bars:
            learnt = partial(_learnt, settings, home, day, bars, proven, chosen.deadline)
            try:
                done = await night(chosen, day, bars, learnt)
            finally:
                for line in proven:
                    console.print(line)
    tell(done, console)
    console.print(await morning_line(home), markup=False, highlight=False)
    return done


async def run_foretelling(
    settings: Settings, home: Home, arguments: list[str], wish: Wish, console: Console
) -> Foretold:
    """What such a night would do. Raises NightOver where it would do nothing."""
    chosen = _chosen(settings, home, wish)
    if pause := paused(home.data, time.time()):
        raise NightOver("nothing", pause)
    async with _gateway(settings, home, arguments, "night") as day:
        made_model(chosen.base)
        with Bars(console) as bars:
            found = await foretell(chosen, day, bars)
    tell_foretold(found, console)
    return found


@asynccontextmanager
async def _gateway(settings: Settings, home: Home, arguments: list[str], name: str) -> AsyncIterator[Day]:
    address = f"http://{settings.gateway.host}:{settings.gateway.port}"
    log = home.data / "logs" / f"{name}-gateway.log"
    async with running_or_own(address, arguments, log, home.data) as url, Day.of_home(url, home.data) as day:
        yield day


def _chosen(settings: Settings, home: Home, wish: Wish) -> NightSettings:
    if not settings.student.model:
        raise SettingsError("the night trains a local student: set student.model (an endpoint cannot be trained)")
    chosen = settings.night
    sat = examination_named(wish.examination or chosen.examination)
    return NightSettings(
        data=home.data,
        models=home.models,
        base=model_folder(settings.student.model, home),
        templates=shared("data", "questions"),
        vocabularies=shared("data", "vocabularies"),
        examination=sat,
        recipe=chosen.recipe,
        lease_bytes=chosen.memory_bytes,
        minimum=chosen.minimum,
        reserved=tuple(sorted(reserved_by(sat))),
        passages=tuple(passages(item for one in frozen_in(shared("data", "examinations")) for item in one.items)),
        rules=Rules(confirm=chosen.confirm),
        labels=Limits(chosen.samples, chosen.asks),
        judge=chosen.judge,
        mixture=_mixture(chosen.mixture),
        snapshots=snapshots(settings, home),
        prompt=prompt_named(chosen.prompt) if chosen.prompt else None,
        from_base=chosen.from_base,
        margin=chosen.margin,
        keep_days=chosen.keep_days,
        gives_way=chosen.gives_way,
        teacher_tokens=chosen.teacher_tokens,
        at_once=chosen.at_once,
        timed=chosen.timed,
        deadline=time.time() + wish.hours * 3600 if wish.hours is not None else None,
        until=wish.until,
    )


async def _learnt(
    settings: Settings,
    home: Home,
    day: Day,
    progress: Progress,
    proven: list[str],
    deadline: float | None,
    adapter: str,
) -> None:
    """What an adapter has proven, "" for what serves now, by the labels of the day: put to work, and added to `proven`
    in sentences."""
    if not settings.night.replays:
        return
    try:
        limits = RouterLimits(settings.night.replays, settings.night.at_once)
        if deadline is not None:
            share = _REPLAYING if adapter else _REPLAYING_SERVED
            limits = msgspec.structs.replace(limits, until=part_of(deadline, share))
        found = await learn_of(day, home, adapter, limits, progress)
    except (DistillError, sqlite3.Error) as error:
        proven.append(f"Nothing was learnt for the router: {error}")
        return
    proven += [f"{adapter or 'Serving'}: {line}" for line in sentences(found)]


def tell(done: Night, console: Console) -> None:
    """The morning's table."""
    table = Table(title=f"Examination of {done.adapter}")
    for heading in ("", "base", "adapter", "teacher"):
        table.add_column(heading)
    scores = (done.verdict.base, done.verdict.adapter, done.teacher)
    for name in ("autonomous_tool_use", "exact_calls", "right_answers", "needless_calls"):
        table.add_row(name.replace("_", " "), *(_share(score, name) for score in scores))
    table.add_row("median seconds", *(shown(score.median_seconds, "s") if score else "–" for score in scores))
    console.print(table)
    kept = done.instead or f"kept, not promoted: {'; '.join(done.verdict.reasons)}"
    outcome = "promoted: it serves now" if done.live else kept
    if (beside := done.verdict.succession) is not None and beside.may_follow:
        console.print(beside.told)
    console.print(f"{done.adapter} {outcome} (gained {done.verdict.gained}, lost {done.verdict.lost} questions)")


def _mixture(chosen: dict[str, Any]) -> Mixture:
    try:
        return msgspec.convert(chosen, Mixture)
    except msgspec.ValidationError as error:
        raise SettingsError(f"night.mixture: {error}") from error


def snapshots(settings: Settings, home: Home) -> Snapshots:
    """What the results of agents' tools are read again on."""
    roots = [Path(folder).expanduser() for folder in settings.night.roots]
    return Snapshots(home.data / "snapshots", roots, Path.home(), home.data / "repositories")


def examination_named(name: str) -> Examination:
    """An examination that ships with Nightschool, by its name, or a file or folder of another. Raises QuestionError."""
    return read_examination(Path(name) if name.endswith(".toml") or "/" in name else _shipped(name))


def reserved_by(examination: Examination) -> frozenset[str]:
    """The repositories that nothing is learnt of: those of this examination and of every frozen one that ships, so that
    an adapter may sit any of them. Raises QuestionError."""
    frozen = frozen_in(shared("data", "examinations"))
    return frozenset(name for one in (examination, *frozen) for name in one.repositories)


def _shipped(name: str) -> Path:
    folder = shared("data", "examinations")
    paths = [*folder.glob("*.toml"), *(file.parent for file in folder.glob(f"*/{DEFINITION}"))]
    found = {path.stem: path for path in paths}
    if name not in found:
        raise QuestionError(f"there is no examination '{name}'; there are {', '.join(sorted(found))}")
    return found[name]


def _share(score: Score | None, name: str) -> str:
    if score is None:
        return "–"
    share: Any = getattr(score, name)
    return f"{share.share:.0%} ({share.low:.0%}–{share.high:.0%})"
