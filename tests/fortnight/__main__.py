"""`python -m tests.fortnight OUT=folder DAYS=14 FIRST=n EACH=n POISONED=n QUESTIONS=n`: fourteen days and nights in an
hour or so.

By day agents ask about other repositories and in other tools' terms, and the gateway decides who answers; each night it
learns by the command's own way. On one day the teacher is corrupted, on another one poisoned. What is in the folder is
not done again, so a fortnight that was stopped goes on. Ends with a table, fortnight.json and report.html; exit code 1
if something that has to hold did not.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from distill.atomic import write_atomically
from distill.examination.drawn import read_drawn
from distill.night.diary import Diary, Record
from distill.night.settings import NightOver
from gateway import settings
from gateway.nightly import Wish, run_night
from gateway.processes.child import child_gateway
from gateway.sections import Settings
from gateway.settings import Home
from tests.fortnight.days import KINDS, POISONED_KINDS, DayTold, drafts_of, live, questions_of, worse_of
from tests.fortnight.holding import Held, held
from tests.fortnight.page import render, table
from tests.fortnight.teachers import Mood, Moody, moody, teaching

# The poisoned day comes right after the first night, while little has been learnt: half of what the next one trains on
# is then poison.
MOODS: dict[int, Mood] = {2: "poisoned", 6: "corrupted"}
_TOKENS = 72
_SETTINGS = """
profile = "embedded"
[student]
model = "embedded"
[teacher]
model = ""
url = "{url}"
name = "expert"
[router]
uncertified = "shadow"
drafts = "always"
[canary]
on = false
[night]
examination = "{examination}"
minimum = 40
at_once = 16
timed = 2
prompt = ""
memory_bytes = 8000000000
replays = 480
margin = 0.1
[night.recipe]
rank = 16
scale = 2.0
layers = 16
learning_rate = 2e-3
epochs = 1
batch = 16
max_tokens = 600
"""


class Told(msgspec.Struct):
    """What fortnight.json holds: the days, and each day's night as its diary has it, None where it did not begin."""

    days: list[DayTold] = []
    nights: list[Record | None] = []
    seconds: float = 0.0
    held: list[Held] = []


def main(words: Sequence[str]) -> int:
    wanted = {"OUT": "fortnight", "DAYS": "14", "FIRST": "480", "EACH": "64", "POISONED": "128", "QUESTIONS": "152"}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or name not in wanted:
            sys.stderr.write(f"{word!r} is not understood; there are {', '.join(f'{known}=' for known in wanted)}\n")
            return 1
        wanted[name] = value
    out, console = Path(wanted["OUT"]).resolve(), Console()
    counts = [int(wanted["FIRST"]), *[int(wanted["EACH"])] * (int(wanted["DAYS"]) - 1)]
    for number, mood in MOODS.items():
        if mood == "poisoned" and number <= len(counts):  # as much as it takes to spoil a student
            counts[number - 1] = int(wanted["POISONED"])
    told = asyncio.run(_fortnight(out, counts, int(wanted["QUESTIONS"]), console))
    told.held = held(told.days, told.nights)
    _keep(out, told)
    (out / "report.html").write_text(render(told.days, told.nights, told.held, told.seconds), encoding="utf-8")
    console.print(table(told.days, told.nights))
    for one in told.held:
        console.print(f"{'holds' if one.holds else 'DOES NOT HOLD'}: {one.what} ({one.seen})")
    console.print(f"{told.seconds / 60:.1f} minutes; {out / 'report.html'}")
    return 0 if all(one.holds for one in told.held) else 1


async def _fortnight(out: Path, counts: Sequence[int], questions: int, console: Console) -> Told:
    home = Home(out / "home" / "data", out / "home" / "models")
    for folder in (home.data, home.models):
        folder.mkdir(parents=True, exist_ok=True)
    told, teacher = _known(out), moody()
    async with teaching(teacher) as url:
        chosen, arguments = _settings(out, home, url, questions)
        environment = {"NIGHTSCHOOL_HOME": str(out / "home")}
        async with child_gateway(arguments, environment, out / "gateway.log", home.data) as gateway:
            port = int(gateway.rpartition(":")[2])
            here = msgspec.structs.replace(chosen, gateway=msgspec.structs.replace(chosen.gateway, port=port))
            for number, count in enumerate(counts, start=1):
                if number > len(told.days):
                    began = time.monotonic()
                    await _day_and_night(number, count, gateway, here, home, teacher, told, console)
                    told.seconds += time.monotonic() - began
                    _keep(out, told)
    return told


async def _day_and_night(
    number: int,
    count: int,
    gateway: str,
    chosen: Settings,
    home: Home,
    teacher: Moody,
    told: Told,
    console: Console,
) -> None:
    """The teacher is in its mood by day, and sound again at night: who goes wrong for a day is asked by night by
    somebody who knows nothing of it."""
    teacher.mood = MOODS.get(number, "sound")
    kinds = POISONED_KINDS if teacher.mood == "poisoned" else KINDS
    items = await questions_of(number, count, kinds, home.data / "repositories")
    morning, serves = time.time(), next((one.serves for one in reversed(told.nights) if one and one.serves), "")
    day = await live(gateway, number, teacher.mood, items, _TOKENS)
    teacher.mood = "sound"
    await asyncio.sleep(1.0)  # the recorder writes within 200 ms
    console.print(f"day {number}: {day.student_share:.0%} by the student, {day.right.share:.0%} right")
    try:
        await run_night(chosen, home, [], Wish(), console)
    except NightOver as over:
        console.print(f"night {number}: {over}")
    drafts, worse = await drafts_of(home.data, serves, morning), await worse_of(home.data, teacher, morning)
    told.days.append(msgspec.structs.replace(day, drafts=drafts, worse=worse))
    told.nights.append(Diary(home.data / "nights").last_ended())


def _settings(out: Path, home: Home, url: str, questions: int) -> tuple[Settings, list[str]]:
    """The settings, and the arguments that a gateway is started with."""
    demo = read_drawn(settings.shared("data", "examinations", "demo.toml"))
    examination = out / "examination.toml"
    told = {"name": "fortnight", "version": 1, "repositories": list(demo.repositories), "questions": questions}
    fixed = {"seed": demo.seed, "result_limit": demo.result_limit, "kinds": list(KINDS)}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in {**told, **fixed}.items()]
    examination.write_text("".join(lines))
    file = out / "nightschool.toml"
    file.write_text(_SETTINGS.format(url=url, examination=examination))
    overrides = {"gateway": {"home": str(home.data.parent)}}
    return settings.load(file, "", environment={}, overrides=overrides), ["--config", str(file)]


def _known(out: Path) -> Told:
    path = out / "fortnight.json"
    return msgspec.json.decode(path.read_bytes(), type=Told) if path.exists() else Told()


def _keep(out: Path, told: Told) -> None:
    write_atomically(out / "fortnight.json", json.dumps(msgspec.to_builtins(told), indent=1).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
