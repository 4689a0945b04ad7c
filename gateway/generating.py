"""`nightschool generate`: a set of questions drawn, put to the teacher, and told on the terminal. Owns that order."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from datetime import time as clock
from pathlib import Path

import msgspec
from openai import AsyncOpenAI
from rich.console import Console

from distill.atomic import write_atomically
from distill.examination.drawn import read_drawn
from distill.facts import Cache
from distill.formats.write import planned
from distill.school.asked import Limits
from distill.school.copies import copied
from distill.school.estimating import estimated
from distill.school.failures import Failed, read_failures
from distill.school.ledger import Ledger
from distill.school.reporting import Report, kept_of, report
from distill.school.running import Asking, Terms
from distill.school.sets import QuestionSet, Sources, inputs_of, opened
from distill.school.student import Student
from distill.school.teacher import Teacher
from distill.school.toolboxes import Toolboxes
from distill.store.store import TraceStore
from distill.trace import Trace
from distill.vocabularies import load_vocabularies
from gateway.agents.presence import answers
from gateway.errors import SettingsError, StartError
from gateway.nightly import examination_named, reserved_by
from gateway.progress import Bars
from gateway.schooltables import print_estimate, print_plan, print_report
from gateway.sections import Settings
from gateway.settings import Home, shared

_DAY, _LATELY = 86_400, 7  # seconds; days whose requests say how long the teacher takes
EXAMPLES, REPORT = "examples.jsonl", "report.json"


class Order(msgspec.Struct, frozen=True):
    """What a person asked for. `seconds` are those of a turn; empty fields and zeros say nothing."""

    repositories: list[str]
    total: int
    seed: int
    at_once: int
    samples: int
    max_calls: int
    max_tokens: int
    seconds: float
    minutes: float
    until: str
    max_cost: float
    dry_run: bool
    failures: Path | None
    url: str
    model: str
    api_key: str
    student: str = ""


async def run_generate(settings: Settings, home: Home, order: Order, console: Console) -> int:
    """How many questions are left, as a limit was reached first. Raises SettingsError, StartError, DistillError; what
    was settled before that is kept."""
    terms = _terms(settings, order)
    chosen, toolboxes = await _set(settings, home, order, console)
    store = home.data / "traces.db"
    with Ledger.opened(chosen.folder) as ledger:
        print_plan(console, chosen, ledger, order.total)
        async with _store(store) as known:
            sums = await known.sums(int(time.time() // _DAY) - _LATELY) if known is not None else []
        guess = estimated(chosen.questions, ledger, sums, terms.at_once, terms.prices)
        if len(ledger.settled) < len(chosen.questions):
            print_estimate(console, guess, priced=any(terms.prices))
        if order.dry_run:
            return len(chosen.questions) - len(ledger.settled)
        if not answers(order.url):
            raise StartError(f"there is no gateway at {order.url}: start it with 'nightschool serve', or say --url")
        try:
            await _run(chosen, toolboxes, ledger, store, order, terms, console)
        finally:
            told = report(chosen.name, chosen.questions, ledger)
            _write(chosen, ledger, told, toolboxes)
            print_report(console, told, chosen.folder)
        return len(chosen.questions) - len(ledger.settled)


async def _set(settings: Settings, home: Home, order: Order, console: Console) -> tuple[QuestionSet, Toolboxes]:
    sources = Sources(shared("data", "questions"), shared("data", "vocabularies"))
    failed = read_failures(order.failures) if order.failures else Failed()
    with Bars(console) as bars:
        bars.stage("copying repositories", None)
        examined = reserved(settings).union(failed.repositories)
        repositories = copied(order.repositories, home.data / "repositories", examined)
        inputs = inputs_of(repositories, sources, order.total, order.seed, failed.failures)
        inputs = msgspec.structs.replace(inputs, student=order.student)
        bars.stage("drawing questions", order.total)
        facts_of = Cache.of_data(home.data).facts
        chosen = await opened(inputs, repositories, sources, home.data / "generated", bars.step, facts_of)
    return chosen, Toolboxes(repositories, load_vocabularies(sources.vocabularies))


async def _run(
    chosen: QuestionSet,
    toolboxes: Toolboxes,
    ledger: Ledger,
    store: Path,
    order: Order,
    terms: Terms,
    console: Console,
) -> None:
    client = AsyncOpenAI(
        base_url=f"{order.url}/v1", api_key=order.api_key or "none", max_retries=0, timeout=order.seconds
    )
    async with client, _store(store) as known:
        traces = known.conversation if known is not None else _nothing
        limits = Limits(order.max_calls, order.max_tokens)
        teacher = Teacher(client, order.model, limits, traces)
        student = Student(client, order.student, limits, traces) if order.student else None
        asking = Asking(chosen, toolboxes, ledger, teacher, _from_now(terms, order.minutes), student=student)
        with Bars(console) as bars:
            bars.stage("asking the teacher", len(chosen.questions))
            bars.step(len(ledger.settled))
            await asking.go(bars)
    if asking.ran.stopped:
        console.print(f"Stopped: {asking.ran.stopped}. The same command goes on from here.")
    for reason, count in asking.ran.left.most_common():
        console.print(f"{count} questions are left for another run: {reason}")


@asynccontextmanager
async def _store(path: Path) -> AsyncIterator[TraceStore | None]:
    """The gateway's trace store, to read; None where it is not at hand."""
    if not await asyncio.to_thread(path.exists):
        yield None
        return
    try:
        store = await TraceStore.open_to_read(path)
    except sqlite3.Error as error:
        raise StartError(f"the trace store {path} cannot be read: {error}") from error
    async with store:
        yield store


async def _nothing(conversation: str) -> list[Trace]:
    return []


def reserved(settings: Settings) -> frozenset[str]:
    """The repositories that examinations ask about: those that ship with Nightschool, and the night's own."""
    drawn = (read_drawn(path).repositories for path in shared("data", "examinations").glob("*.toml"))
    return reserved_by(examination_named(settings.night.examination)).union(*drawn)


def _terms(settings: Settings, order: Order) -> Terms:
    prices = (settings.teacher.price_input, settings.teacher.price_output)
    if order.max_cost and not any(prices):
        raise SettingsError("--max-cost needs teacher.price_input and teacher.price_output")
    return Terms(order.at_once, order.samples, _next(order.until), order.max_cost or None, prices)


def _next(time_of_day: str) -> float | None:
    """When it is that time next, on the monotonic clock. Raises SettingsError."""
    if not time_of_day:
        return None
    now = datetime.now().astimezone()
    try:
        end = datetime.combine(now.date(), clock.fromisoformat(time_of_day), now.tzinfo)
    except ValueError as error:
        raise SettingsError(f"--until wants a time as 06:30, not '{time_of_day}'") from error
    end += timedelta(days=end <= now)
    return time.monotonic() + (end - now).total_seconds()


def _from_now(terms: Terms, minutes: float) -> Terms:
    """The same, with the minutes that asking may take, 0: any."""
    ends = [end for end in (terms.stop_at, time.monotonic() + minutes * 60 if minutes else None) if end is not None]
    return msgspec.structs.replace(terms, stop_at=min(ends, default=None))


def _write(chosen: QuestionSet, ledger: Ledger, told: Report, toolboxes: Toolboxes) -> None:
    kept = kept_of(chosen.questions, ledger)
    lines = [line for question, taken in kept for line in planned(taken.messages, toolboxes.of(question).specs)]
    write_atomically(chosen.folder / EXAMPLES, b"".join(lines))
    write_atomically(chosen.folder / REPORT, msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
