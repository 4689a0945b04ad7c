"""`nightschool mve`, `scale` and `refine`: the teacher's examples, a night, an examination, what follows.

Owns that order, on one gateway. What each part does is the part's.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from distill.examination.decision import PlanDecision, decide
from distill.examination.results import Result
from distill.night.course import Night
from distill.night.settings import NightOver
from distill.store.listing import Sum
from distill.store.store import TraceStore
from gateway.errors import SettingsError
from gateway.exam.running import Wish as ExamWish
from gateway.exam.running import run_exam
from gateway.generating import Order, run_generate
from gateway.iterations.pivots import pivots
from gateway.iterations.steps import Iteration, follows, may_pivot
from gateway.machine.catalog import entries
from gateway.machine.inspection import inspect
from gateway.nightly import Wish, examination_named, run_night
from gateway.processes.child import running_or_own
from gateway.sections import Settings
from gateway.settings import Home

_LEFT = 0.1  # of the questions: with more of them a night would learn a fragment
_DAY, _LATELY = 86_400, 7  # seconds; days whose requests say what answers take


class Told(msgspec.Struct, frozen=True):
    """What an iteration came to: the night, None where it ended before an adapter was judged, the examination's result
    and what it decides, None where no student could be scored."""

    night: Night | None
    result: Result
    decision: PlanDecision | None


async def run_iteration(
    iteration: Iteration,
    order: Order,
    max_tokens: int,
    settings: Settings,
    home: Home,
    arguments: list[str],
    console: Console,
) -> Told:
    """`order` is what the teacher is asked; its address is filled in here. `max_tokens` are those of a turn in the
    examination, 0: as it says. Raises what the parts do; started again,
    each part goes on where it stood."""
    address = f"http://{settings.gateway.host}:{settings.gateway.port}"
    log = home.data / "logs" / "iteration-gateway.log"
    async with running_or_own(address, arguments, log, home.data) as url:
        here = _at(settings, url)
        failures = order.failures
        if iteration.by_failures and failures is None:
            failures = await _failures(iteration, max_tokens, here, home, console)
        console.rule(f"{iteration.name}: {order.total} examples")
        left = await run_generate(here, home, msgspec.structs.replace(order, url=url, failures=failures), console)
        if left > _LEFT * order.total:
            told = f"{left} of {order.total} questions are left: the same command goes on with them"
            raise NightOver("nothing", told)
        console.rule("the night")
        done = await _night(here, home, console)
        console.rule(f"the examination '{iteration.examination}'")
        wish = ExamWish(
            iteration.examination, [], adapter=done.adapter if done is not None else "", max_tokens=max_tokens
        )
        result = await run_exam(wish, here, home, [], console)
    console.rule("what follows")
    await _tell(iteration, result, done, here, home, console)
    return Told(done, result, result.decision)


async def _night(settings: Settings, home: Home, console: Console) -> Night | None:
    try:
        return await run_night(settings, home, [], Wish(), console)
    except NightOver as over:
        console.print(Text(f"The night ended: {over}"))
        return None


def _at(settings: Settings, url: str) -> Settings:
    """The settings, with the gateway where it is."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return msgspec.structs.replace(
        settings, gateway=msgspec.structs.replace(settings.gateway, host=host, port=int(port))
    )


async def _failures(iteration: Iteration, max_tokens: int, settings: Settings, home: Home, console: Console) -> Path:
    """The folder of the newest result of the nights' examination, which the student sits now where there is none since
    what serves does. Raises SettingsError where that is the one that decides."""
    named = settings.night.examination
    examination = examination_named(named).name
    if examination == iteration.examination:
        raise SettingsError(
            f"what fails in '{examination}' is not asked for, since it decides: set night.examination to a drawn "
            "one, or name a result with --for-failures"
        )
    if (found := _last_failures(home, examination)) is None:
        console.rule(f"what fails: the examination '{examination}'")
        await run_exam(ExamWish(named, [], max_tokens=max_tokens), settings, home, [], console)
        found = _last_failures(home, examination)
    if found is None:
        raise SettingsError(f"no student could sit '{examination}', so nothing is known to fail")
    return found


def _last_failures(home: Home, examination: str) -> Path | None:
    """The folder of the newest result of this examination since what serves was put to work."""
    found, live = [], home.models / "live.json"
    since = live.stat().st_mtime if live.exists() else 0.0
    for path in (home.data / "examined").glob("*/result.json"):
        try:
            result = msgspec.json.decode(path.read_bytes(), type=Result)
        except (OSError, msgspec.MsgspecError):
            continue
        if result.examination.name == examination and result.student and path.stat().st_mtime > since:
            found.append((path.stat().st_mtime, path.parent))
    return max(found)[1] if found else None


async def _tell(
    iteration: Iteration, result: Result, done: Night | None, settings: Settings, home: Home, console: Console
) -> None:
    if result.decision is None:
        console.print("No student could be examined, so nothing is decided.")
        return
    for line in follows(iteration, result.decision):
        console.print(Text(line), soft_wrap=True)
    more = None
    if done is not None:
        more = decide(done.verdict.adapter.exact_calls.hits, done.verdict.adapter.items)
        console.print(
            Text(
                f"Beside it, the night's {more.of} questions: {more.hits} with the exact calls "
                f"({more.low:.0%} to {more.high:.0%}): {more.words}"
            ),
            soft_wrap=True,
        )
    if may_pivot(result.decision) or (more is not None and may_pivot(more)):
        for pivot in pivots(settings, inspect(home.models), entries(), await _days(home)):
            console.print(Text(f"Plan {pivot.plan}: {pivot.what}. {pivot.costs}. How: {pivot.how}"), soft_wrap=True)


async def _days(home: Home) -> list[Sum]:
    try:
        async with await TraceStore.open_to_read(home.data / "traces.db") as store:
            return await store.sums(int(time.time() // _DAY) - _LATELY)
    except sqlite3.Error:
        return []
