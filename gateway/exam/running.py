"""`nightschool exam`: an examination put to all arms, one arm after the other, and its result written.

Reads top to bottom: gateway, arms, questions, answers, result. What was answered is kept as it comes; a run that was
killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from distill.atomic import write_atomically
from distill.day import Day, DayError
from distill.errors import ExaminationError
from distill.examination.answers import Answered, Sheet, digest_of, folder_of
from distill.examination.arms import Arm, complete
from distill.examination.items import Item
from distill.examination.peaks import peaks, remember_peak
from distill.examination.results import Circumstances, Result, result_of
from distill.examination.setting import set_questions
from distill.examination.sitting import Pace, pace, sit
from distill.examination.teaching import TEACHING, Sat, Teaching, decides, merged, read_teaching
from gateway.errors import SettingsError
from gateway.exam.endpoints import Behind, add_adapter, chosen, client_of, look_behind, peak_memory
from gateway.exam.page import render
from gateway.exam.tables import tell
from gateway.nightly import examination_named
from gateway.processes.child import answers, running_or_own
from gateway.progress import Bars
from gateway.prompts import prompt_named
from gateway.sections import Settings
from gateway.settings import Home, api_key, check_servable, shared


class Wish(msgspec.Struct, frozen=True):
    """What is to be examined. `keys` are names of environment variables by arm; `seconds` is for one request;
    `max_tokens` 0: as the examination says."""

    examination: str
    arms: list[Arm]
    adapter: str = ""
    prompt: str = "plan-then-act"
    keys: dict[str, str] = {}
    at_once: int = 4
    timed: int = 60
    max_tokens: int = 0
    seconds: float = 300.0
    fresh: bool = False


class _Room(msgspec.Struct, frozen=True):
    """What an examination has at hand: the gateway, if there is one, and what stands behind it."""

    day: Day | None
    behind: Behind | None
    home: Home


async def run_exam(wish: Wish, settings: Settings, home: Home, arguments: list[str], console: Console) -> Result:
    """The whole examination; `arguments` are those with which a gateway is started where one is needed and none runs.

    Writes result.json and report.html. Raises SettingsError, ExaminationError, QuestionError or DayError for what makes
    no sense; an endpoint that fails is told in the result.
    """
    examination = examination_named(wish.examination)
    prompt = prompt_named(wish.prompt)
    max_tokens = wish.max_tokens or examination.max_tokens
    keys = {label: api_key(variable) for label, variable in wish.keys.items()}
    async with _room(wish, settings, home, arguments) as room:
        found, notes = chosen(wish.arms, room.behind, wish.adapter)
        arms, more = complete(found, prompt)
        _check(arms, keys, room.day)
        with Bars(console) as bars:
            bars.stage("setting the examination", None)
            items = await set_questions(examination, shared("data", "questions"), home.data / "repositories")
            digest = digest_of(items)
            folder = folder_of(home.data / "examined", digest, arms, max_tokens)
            folder.mkdir(parents=True, exist_ok=True)
            sheets = await _sit_all(wish, room, arms, keys, items, folder, max_tokens, bars)
        sat = Sat(examination.name, examination.version, digest, len(items))
        when = datetime.now(UTC).isoformat(timespec="seconds")
        seen = Circumstances(sat, wish.at_once, max_tokens, when, peaks(folder), [*notes, *more])
        result = result_of(items, arms, sheets, seen)
        result = _teach(result, arms, home)
    write_atomically(folder / "result.json", msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    write_atomically(folder / "report.html", render(result, sheets).encode("utf-8", "replace"))
    tell(result, folder, console)
    return result


@asynccontextmanager
async def _room(wish: Wish, settings: Settings, home: Home, arguments: list[str]) -> AsyncIterator[_Room]:
    """The gateway that runs; one of our own where arms need it; none where all arms have addresses."""
    address = f"http://{settings.gateway.host}:{settings.gateway.port}"
    async with AsyncExitStack() as stack:
        if not await answers(address, home.data):
            if wish.arms and all(arm.url for arm in wish.arms) and not wish.adapter:
                yield _Room(None, None, home)
                return
            check_servable(settings)
            log = home.data / "logs" / "exam-gateway.log"
            address = await stack.enter_async_context(running_or_own(address, arguments, log, home.data))
        day = await stack.enter_async_context(Day.of_home(address, home.data))
        added = bool(wish.adapter) and await add_adapter(day, wish.adapter, home)
        try:
            yield _Room(day, await look_behind(day, settings), home)
        finally:
            if added:
                with suppress(DayError):  # it leaves with the engine
                    await day.remove_adapter(wish.adapter)


async def _sit_all(
    wish: Wish,
    room: _Room,
    arms: Sequence[Arm],
    keys: Mapping[str, str],
    items: Sequence[Item],
    folder: Path,
    max_tokens: int,
    bars: Bars,
) -> dict[str, dict[str, Answered]]:
    """Every arm's answers, by label and question."""
    sheets: dict[str, dict[str, Answered]] = {}
    for arm in arms:
        with Sheet(folder / f"{arm.label}.jsonl") as sheet:
            if wish.fresh:
                sheet.clear()
            left = sheet.left(items)
            bars.stage(f"examining {arm.label}", len(items))
            bars.step(len(items) - len(left))
            if left:
                speed = pace(items, wish.at_once, wish.timed)
                await _sit(wish, room, arm, keys, left, speed, sheet, max_tokens, bars)
            sheets[arm.label] = sheet.answers
    return sheets


async def _sit(
    wish: Wish,
    room: _Room,
    arm: Arm,
    keys: Mapping[str, str],
    left: Sequence[Item],
    speed: Pace,
    sheet: Sheet,
    max_tokens: int,
    bars: Bars,
) -> None:
    failed = 0

    def keep(one: Answered) -> None:
        nonlocal failed
        sheet.add(one)
        failed += one.failed
        bars.step(note=f"{failed} failed" if failed else "")

    async with client_of(arm, room.day, keys.get(arm.label, ""), wish.seconds) as client:
        await sit(client, arm, left, keep, pace=speed, max_tokens=max_tokens)
    remember_peak(sheet.path.parent, arm.label, await peak_memory(arm, room.day, room.behind))


def _teach(result: Result, arms: Sequence[Arm], home: Home) -> Result:
    """Write data/teaching.json where there were teachers, and questions enough; what was done, as a note."""
    deciding = [one for one in result.teachers if decides(one.teacher.categories)]
    if not deciding:
        return result
    student = next(arm.model for arm in arms if arm.label == result.student)
    now = Teaching(result.examination, student, {one.model: one.teacher for one in deciding})
    path = home.data / TEACHING
    try:
        written = merged(read_teaching(path), now)
    except ExaminationError as error:
        return msgspec.structs.replace(result, notes=[*result.notes, f"who teaches what was not written: {error}"])
    write_atomically(path, msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n")
    return msgspec.structs.replace(result, notes=[*result.notes, f"who teaches what is written in {path}"])


def _check(arms: Sequence[Arm], keys: Mapping[str, str], day: Day | None) -> None:
    if not arms:
        raise SettingsError("there is nobody to examine: set a student and a teacher, or name arms with --arm")
    labels = [arm.label for arm in arms]
    if unknown := next((label for label in keys if label not in labels), ""):
        raise SettingsError(f"--key names '{unknown}', and the arms are {', '.join(labels)}")
    for arm in arms:
        if not arm.url and day is None:
            raise SettingsError(f"the arm '{arm.label}' has no address, and no gateway runs: write LABEL=MODEL@URL")
