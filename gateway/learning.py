"""`nightschool router learn`: the student asked again what the teacher answered, and what that earns it.

Owns which gateway is asked, that it takes up what was found, and how that is told. What is found is distill's.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table

from distill.day import Day, serves
from distill.night.doubting import doubted
from distill.night.settings import Progress
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.routing.learning import Findings, Holding, learn
from distill.routing.replaying import Limits
from distill.store.store import TraceStore
from gateway.answering.routing import Learning, Routing
from gateway.errors import SettingsError
from gateway.exam.endpoints import add_adapter
from gateway.processes.child import running_or_own
from gateway.progress import Bars
from gateway.sections import Settings
from gateway.settings import Home

_BUSY_SECONDS = 60.0


async def run_learning(
    settings: Settings, home: Home, arguments: list[str], adapter: str, limits: Limits, console: Console
) -> Findings:
    """For an adapter of models/adapters, "" for what serves now. `arguments` are those with which a gateway is started
    when none runs."""
    if not (settings.student.model or settings.student.url):
        raise SettingsError("there is no student to ask: set student.model or student.url")
    address = f"http://{settings.gateway.host}:{settings.gateway.port}"
    log = home.data / "logs" / "router-gateway.log"
    async with running_or_own(address, arguments, log, home.data) as url, Day.of_home(url, home.data) as day:
        with Bars(console) as bars:
            async with AsyncExitStack() as stack:
                if adapter and await add_adapter(day, adapter, home):
                    stack.push_async_callback(day.remove_adapter, adapter)
                found = await learn_of(day, home, adapter, limits, bars)
    tell(found, console)
    return found


async def learn_of(day: Day, home: Home, adapter: str, limits: Limits, progress: Progress) -> Findings:
    """Have an adapter that the engine has loaded, "" for what serves now, asked again, and put to work what that earns
    it. Raises DayError, DoubtError or sqlite3.Error."""
    progress.stage(f"asking {adapter or 'the student'} again", None)
    told = await day.status()
    tested = adapter or serves(told)
    teachers = told["router"]["teachers"]
    left_out, now = doubted(home.data / "nights"), _holding(home, tested, teachers)
    async with await TraceStore.open(home.data / "traces.db", _BUSY_SECONDS) as store:
        redactor = Redactor(key_at(home.data / "redact.key"))
        found = await learn(store, redactor, tested or "student", day, teachers, limits, progress.step, now, left_out)
    learning = Learning(
        tested, found.gates, found.certificate, found.missing, found.broken, found.tested, found.counts_from
    )
    await day.teach_router(msgspec.to_builtins(learning))
    return found


def _holding(home: Home, adapter: str, teacher: str) -> Holding:
    """What the student has, out of models/router.json."""
    routing = Routing(home)
    if (kept := routing.of(adapter)) is None:
        return Holding()
    since, gates = datetime.fromisoformat(kept.since).timestamp(), routing.gates(kept.gates) if kept.gates else None
    certificate = routing.certificate(adapter, teacher)
    return Holding(certificate, gates, since, kept.times, kept.labels, kept.counts_from)


def tell(found: Findings, console: Console) -> None:
    """What was found, in a table and a sentence for each group of answers."""
    table = Table(title="Drafts beside the teacher's answers")
    for heading in ("compared by", "drafts", "worse"):
        table.add_column(heading, justify="left" if heading == "compared by" else "right")
    for how, count in sorted(found.labels.items()):
        table.add_row(how, str(count), str(found.worse.get(how, 0)))
    console.print(table)
    if found.replayed.failed:
        console.print(f"{found.replayed.failed} requests failed: {found.replayed.error}")
    if found.better is not None:
        told = f"{found.better.difference:.4f} above theirs, standard error {found.better.error:.4f}"
        console.print(f"Gates {'go to work' if found.gates else 'stay away'}: the better rule's risk is {told}.")
    if found.asked_again:
        console.print(
            f"The teacher was asked more than once for {found.asked_again} of them, and disagreed with itself in "
            f"{found.split / found.asked_again:.0%}: no student agrees with it more often than it does."
        )
    if wrong := found.labels.get("teacher_wrong"):
        console.print(
            f"In {wrong} of these the teacher's own answer went wrong, and the student's was another: it counts as no "
            "worse, so that the student serves where the teacher is the worse one."
        )
    if found.broken:
        console.print(f"The certificate that there was is broken: {found.broken}. Only what came since counts.")
    for line in sentences(found):
        console.print(line)


def sentences(found: Findings) -> list[str]:
    """What each group of answers earned, or what is missing for it and when it will be there."""
    lines = []
    if (certificate := found.certificate) is not None:
        lines = [
            f"{group}: certified from a score of {proven.threshold:.3f} on, {proven.coverage:.0%} of such answers; "
            f"{proven.errors} of {proven.accepted} were worse, at most {certificate.alpha[group]:.0%} are."
            for group, proven in certificate.groups.items()
        ]
    for group, lacking in found.missing.items():
        seen = f"{group}: {lacking.errors} of {lacking.accepted} drafts were worse"
        if lacking.more is None:
            lines.append(f"{seen}. More labels will not certify that; the student has to become better first.")
            continue
        days = lacking.days(found.days)
        when = f"in about {days:.0f} days" if days is not None else "too few have come yet to say when"
        lines.append(f"{seen}. About {lacking.more} labels more are needed: {when}.")
    if found.replayed.futile:
        lines.append("No more drafts were asked for: all conversations there are would not be enough.")
    return lines or ["There is nothing to compare yet: the teacher has to answer some requests first."]
