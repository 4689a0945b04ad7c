"""`python -m tests.routing OUT=folder ADAPTER=folder QUESTIONS=n TEACHER=url PROMPT=name`: what routers come to on the
drafts of a real student.

The expert, or the model behind `url`, which may be told a prompt, answers a day's questions, as the gateway's teacher;
then the student is asked all of it again, as by night, and each draft is held beside what the teacher said. Rules and
gates are judged by these drafts. What is in the folder is not made again. A table, and table.json beside it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from openai import AsyncOpenAI
from rich.console import Console
from rich.table import Table

from distill.day import Day
from distill.examination.drawn import read_drawn, set_drawn
from distill.examination.sitting import Pace, examine
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.routing.labels import Label
from distill.routing.replaying import Limits, labels, replay
from distill.routing.table import Row, better, rows, scored
from distill.routing.training import TooFewLabels, train
from distill.store.store import TraceStore
from gateway.demo.story import DAY2
from gateway.processes.child import child_gateway
from gateway.progress import Bars
from gateway.sections import EMBEDDED

_ROOT = Path(__file__).resolve().parents[2]
_DEMO = _ROOT / "data" / "examinations" / "demo.toml"
_RATIO = 8 / 93  # what a draft takes of what the teacher takes: the plan's 7B and 30B
_AT_ONCE = 16


def main(words: Sequence[str]) -> int:
    wanted = {"OUT": "routing", "ADAPTER": "", "QUESTIONS": "600", "TEACHER": "", "PROMPT": ""}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or name not in wanted:
            sys.stderr.write(f"{word!r} is not understood; there are {', '.join(f'{known}=' for known in wanted)}\n")
            return 1
        wanted[name] = value
    console = Console()
    out = Path(wanted["OUT"]).resolve()
    adapter = Path(wanted["ADAPTER"]).resolve() if wanted["ADAPTER"] else None
    found = asyncio.run(_drafts(out, adapter, int(wanted["QUESTIONS"]), _settings(wanted), console))
    try:
        trained = train(found)
    except TooFewLabels as error:
        console.print(f"No gate can be learnt, and no rule be told from another: {error}.")
        return 1
    scores = scored(found, trained, _RATIO)
    table = rows(found, scores, _RATIO, trained)
    beaten = better(found, scores)
    (out / "table.json").write_text(
        json.dumps({"rows": msgspec.to_builtins(table), "better": msgspec.to_builtins(beaten), "labels": len(found)})
    )
    console.print(_shown(table))
    console.print(
        f"{len(found)} drafts, {sum(label.worse for label in found)} worse "
        f"({', '.join(f'{how} {count}' for how, count in Counter(u.how for u in found if u.worse).items())}); "
        f"the gates' AURC is {beaten.difference:.4f} below that of the better rule, standard error {beaten.error:.4f}"
    )
    return 0


def _settings(wanted: dict[str, str]) -> dict[str, str]:
    """What the gateway is told of another teacher than the expert."""
    told = {"NIGHTSCHOOL_TEACHER_URL": wanted["TEACHER"], "NIGHTSCHOOL_TEACHER_PROMPT": wanted["PROMPT"]}
    return {name: value for name, value in told.items() if value}


async def _drafts(
    out: Path, adapter: Path | None, questions: int, settings: dict[str, str], console: Console
) -> list[Label]:
    """The day, where it was not had yet, and the student's drafts of it."""
    home = out / "home"
    home.mkdir(parents=True, exist_ok=True)
    student = EMBEDDED
    if adapter:
        student = f"trial-{adapter.parent.name}"
        folder = home / "models" / "adapters" / student
        if not folder.exists():
            shutil.copytree(adapter, folder)
    environment = {"NIGHTSCHOOL_HOME": str(home), **settings}
    data = home / "data"
    with Bars(console) as bars:
        async with AsyncExitStack() as stack:
            gateway = child_gateway(["--profile", "embedded"], environment, out / "gateway.log", data)
            url = await stack.enter_async_context(gateway)
            day = await stack.enter_async_context(Day.of_home(url, data))
            store = await stack.enter_async_context(await TraceStore.open(data / "traces.db", 60.0))
            if await store.count() == 0:
                await _day(url, home, questions, bars)
            if adapter:
                await day.add_adapter(student, home / "models" / "adapters" / student)
            until = await store.watermark()
            bars.stage(f"asking {student} again", None)
            redactor = Redactor(key_at(data / "redact.key"))
            limits = Limits(100_000, _AT_ONCE, teaching=100_000)
            told = await replay(store, redactor, until, student, day, "train", limits, bars.step)
            told = told.and_then(await replay(store, redactor, until, student, day, "calibrate", limits, bars.step))
            if told.failed:
                console.print(f"{told.failed} requests failed: {told.error}")
            return [label async for label in labels(store, until, student)]


async def _day(url: str, home: Path, questions: int, bars: Bars) -> None:
    """Agents ask about packages that no student learnt from; the teacher answers all of it."""
    demo = read_drawn(_DEMO)
    lesson = msgspec.structs.replace(
        demo, name="routing", repositories=[*demo.repositories, *DAY2], questions=questions, seed=demo.seed + 2
    )
    items = await set_drawn(lesson, _ROOT / "data" / "questions", home / "data" / "repositories")
    bars.stage("the teacher's day", len(items))
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", timeout=300.0)
    await examine(client, "nightschool", items, pace=Pace(_AT_ONCE), max_tokens=demo.max_tokens, done=bars.step)
    await client.close()
    await asyncio.sleep(1.0)  # the recorder writes within 200 ms


def _shown(table: Sequence[Row]) -> Table:
    shown = Table()
    for heading in ("", "certified share", "of it worse", "quality", "APGR", "AURC", "possible", "wasted", "added s"):
        shown.add_column(heading, justify="left" if not heading else "right")
    for row in table:
        shares = (row.coverage, row.risk, row.quality)
        shown.add_row(
            row.name,
            *(f"{share:.1%}" for share in shares),
            f"{row.apgr:.3f}",
            f"{row.aurc:.4f}",
            f"{row.possible:.1%}",
            f"{row.wasted:.1%}",
            f"{row.added:.2f}",
        )
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
