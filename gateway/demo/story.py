"""The demo: a first day with the teacher, a night, and a second day on code nobody has seen.

Owns the story and its numbers. Everything runs for real: a gateway process with its engine and the expert, agents
over sockets on the source code of installed packages, training and examination; the home is a folder of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from importlib import metadata as packages
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from openai import AsyncOpenAI
from rich.console import Console

from distill.agent import Conversation
from distill.day import Day
from distill.examination.drawn import DrawnExamination, read_drawn, set_drawn
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.examination.scores import Score, score
from distill.examination.sitting import Pace, examine
from distill.night.course import Night, night
from distill.night.settings import NightSettings
from distill.snapshots import Snapshots
from distill.statistics import Share
from gateway.demo.report import print_table, render_html
from gateway.processes.child import child_gateway
from gateway.progress import Bars
from gateway.sections import EMBEDDED
from gateway.settings import shared

TAUGHT = ("rich", "click", "jinja2", "httpx2", "aiohttp", "pydantic", "markdown_it", "anyio", "typer", "pygments")
DAY2 = ("granian", "tenacity", "huggingface_hub")
RECIPE: dict[str, Any] = {
    "rank": 16,
    "scale": 2.0,
    "layers": 30,
    "learning_rate": 2e-3,
    "epochs": 1.0,
    "batch": 16,
    "max_tokens": 500,
}
_LEASE_BYTES = 8_000_000_000
_AT_ONCE = 16
_COUNTED = {"exact_calls": "exact", "right_answers": "right"}  # report's word: mark's


class Lessons(msgspec.Struct, frozen=True):
    """How much the demo does: questions per taught repository, of the second day, of the examination, and of these
    those that are asked alone."""

    taught: int = 90
    second_day: int = 36
    examined: int = 96
    timed: int = 8


async def run_demo(out: Path, seed: int, lessons: Lessons, console: Console) -> dict[str, Any]:
    """The whole demo. Writes report.html and report.json to `out` and returns the report."""
    started = time.monotonic()
    home = _fresh_home(out)
    environment = {"NIGHTSCHOOL_HOME": str(home), "NIGHTSCHOOL_ROUTER_UNCERTIFIED": "serve"}
    templates = shared("data", "questions")
    console.print(f"Seed {seed}. Everything the demo makes goes to {out}.")
    with Bars(console) as bars:
        bars.stage("starting the gateway", None)
        async with child_gateway(["--profile", "embedded"], environment, out / "gateway.log", home / "data") as url:
            lesson = _day(TAUGHT, lessons.taught * len(TAUGHT), seed)
            first = await _live_day(url, "day 1", lesson, templates, home, bars)
            async with Day.of_home(url, home / "data") as day:
                after_dark = await night(_night_settings(home, templates, lessons, seed), day, bars)
            test = _day(DAY2, lessons.second_day, seed + 1)
            second = await _live_day(url, "day 2", test, templates, home, bars)
    report = _report(seed, first, after_dark, second, bars, home)
    report["wall_seconds"] = round(time.monotonic() - started, 1)
    (out / "report.json").write_text(json.dumps(report, indent=2))
    (out / "report.html").write_text(render_html(report), encoding="utf-8")
    print_table(console, report)
    console.print(f"Report: {out / 'report.html'}")
    return report


def _fresh_home(out: Path) -> Path:
    """A home of the demo's own; only the embedded model outlives an earlier demo."""
    home = out / "home"
    shutil.rmtree(home / "data", ignore_errors=True)
    for folder in (home / "models").iterdir() if (home / "models").exists() else ():
        if folder.name != EMBEDDED:
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    (home / "data").mkdir(parents=True, exist_ok=True)
    (home / "models").mkdir(exist_ok=True)
    return home


def _day(repositories: Sequence[str], questions: int, seed: int) -> DrawnExamination:
    """A day's traffic is drawn like the demo's examination: other repositories, the same kinds of questions."""
    examined = read_drawn(shared("data", "examinations", "demo.toml"))
    return msgspec.structs.replace(
        examined, name="day", repositories=list(repositories), questions=questions, seed=seed
    )


def _night_settings(home: Path, templates: Path, lessons: Lessons, seed: int) -> NightSettings:
    """The demo's examination, drawn by the demo's seed."""
    drawn = msgspec.structs.replace(
        read_drawn(shared("data", "examinations", "demo.toml")), questions=lessons.examined, seed=seed
    )
    return NightSettings(
        data=home / "data",
        models=home / "models",
        base=home / "models" / EMBEDDED,
        templates=templates,
        vocabularies=shared("data", "vocabularies"),
        examination=drawn,
        recipe=RECIPE,
        lease_bytes=_LEASE_BYTES,
        at_once=_AT_ONCE,
        timed=lessons.timed,
        reserved=DAY2,
        snapshots=Snapshots(home / "data" / "snapshots", [], Path.home(), home / "data" / "repositories"),
    )


class DayLog(msgspec.Struct):
    """A day's traffic: marks and conversations, question by question."""

    marks: list[Mark]
    conversations: list[Conversation]


async def _live_day(url: str, name: str, day: DrawnExamination, templates: Path, home: Path, bars: Bars) -> DayLog:
    """Agents ask about the day's repositories; the gateway decides who answers."""
    bars.stage(f"{name}: drawing questions", None)
    items: list[Item] = await set_drawn(day, templates, home / "data" / "repositories")
    bars.stage(f"{name}: agents at work", len(items))
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", timeout=300.0)
    results = await examine(
        client, "nightschool", items, pace=Pace(_AT_ONCE), max_tokens=day.max_tokens, prefix=name, done=bars.step
    )
    await client.close()
    await asyncio.sleep(0.5)  # the recorder writes within 200 ms
    return DayLog([mark for mark, _ in results], [conversation for _, conversation in results])


def _report(seed: int, first: DayLog, after_dark: Night, second: DayLog, bars: Bars, home: Path) -> dict[str, Any]:
    verdict, memory = after_dark.verdict, after_dark.memory
    assert after_dark.teacher is not None  # the expert is there
    folder = home / "models" / "adapters" / after_dark.adapter
    answers = {arm: _answers(folder / f"examination-{arm}.jsonl") for arm in ("base", "adapter", "teacher")}
    scores = {"base": verdict.base, "adapter": verdict.adapter, "teacher": after_dark.teacher}
    models = {"base": EMBEDDED, "adapter": after_dark.adapter, "teacher": "expert"}
    arms = {arm: _arm(scores[arm], models[arm], memory[arm], answers[arm]) for arm in scores}
    second_day = _told(second)
    run = home / "models" / "runs" / _card(folder)["run"]
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        **arms,
        "student_share_day2": second_day["student_requests"] / max(1, second_day["requests"]),
        "seed": seed,
        "certified": False,
        "at_once": _AT_ONCE,
        "live": after_dark.live,
        "verdict": {
            "passed": verdict.passed,
            "reasons": verdict.reasons,
            "gained": verdict.gained,
            "lost": verdict.lost,
            "p_value": verdict.p_value,
        },
        "training": {**after_dark.run, "losses": losses, "dropped": _dropped(after_dark.dataset.folder)},
        "days": {"first": _told(first), "second": second_day},
        "phases": bars.seconds,
        "repositories": {
            "taught": list(TAUGHT),
            "examined": sorted({line["question"]["repository"] for line in answers["base"]}),
            "day2": list(DAY2),
        },
        "samples": _samples(answers),
        "versions": {name: packages.version(name) for name in ("nightschool", "mlx", "mlx-lm", "openai", "litestar")},
        "machine": f"{os.cpu_count()} × {platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }


def _arm(scored: Score, model: str, memory: int, answers: list[dict[str, Any]]) -> dict[str, Any]:
    shares: dict[str, Share] = {
        "autonomous_tool_use": scored.autonomous_tool_use,
        "exact_calls": scored.exact_calls,
        "right_answers": scored.right_answers,
    }
    return {
        **{name: share.share for name, share in shares.items()},
        "intervals": {name: [share.low, share.high] for name, share in shares.items()},
        "needless_calls": scored.needless_calls.share,
        "median_seconds": scored.median_seconds,
        "peak_memory_gb": round(memory / 1e9, 2),
        "items": scored.items,
        "model": model,
        "categories": _categories(answers),
    }


def _categories(answers: list[dict[str, Any]]) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in answers:
        groups.setdefault(line["mark"]["category"], []).append(line["mark"])
    return {
        category: {
            "items": len(marks),
            **{key: sum(mark[name] for mark in marks) / len(marks) for key, name in _COUNTED.items()},
        }
        for category, marks in sorted(groups.items())
    }


def _told(day: DayLog) -> dict[str, Any]:
    turns = [turn for conversation in day.conversations for turn in conversation.turns]
    return {
        "questions": len(day.marks),
        "requests": len(turns),
        "student_requests": sum(turn.served_by == "student" for turn in turns),
        "reasons": dict(Counter(turn.reason for turn in turns).most_common()),
        "right_answers": score(day.marks).right_answers.share,
        "median_seconds": round(median(conversation.seconds for conversation in day.conversations), 2),
    }


def _samples(answers: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The first questions of each category, with what each arm did."""
    seen: Counter[str] = Counter()
    samples = []
    for lines in zip(answers["base"], answers["adapter"], answers["teacher"], strict=True):
        question = lines[0]["question"]
        seen[question["category"]] += 1
        if seen[question["category"]] <= 2:
            arms = {arm: _sample(line) for arm, line in zip(("base", "adapter", "teacher"), lines, strict=True)}
            asked = {"question": question["text"], **{key: question[key] for key in ("repository", "category")}}
            samples.append({**asked, **arms})
    return samples


def _sample(line: dict[str, Any]) -> dict[str, Any]:
    calls = [call["function"] for message in line["messages"] for call in message.get("tool_calls") or ()]
    last = line["messages"][-1]
    return {
        "calls": [f"{call['name']} {call['arguments']}" for call in calls],
        "answer": last.get("content") or "" if last["role"] == "assistant" else "",
        "right": line["mark"]["right"],
    }


def _answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return card


def _dropped(dataset: str) -> dict[str, int]:
    dropped: dict[str, int] = json.loads(Path(dataset, "manifest.json").read_text())["dropped"]
    return dropped
