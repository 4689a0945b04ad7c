"""Homes for the morning report: nights, adapters, datasets and days, written by the project's own writers."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from distill.dataset import Example, write_dataset
from distill.examination.answers import Answered
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.gate import Verdict, judge
from distill.generate.oracle import Oracle
from distill.generate.question import Question
from distill.night.diary import Candidate, Diary, Done, Outcome, Record, Stage
from distill.night.examining import write_answers
from distill.publishing import publish, write_card
from distill.store.store import TraceStore
from distill.succession import succession
from distill.train.order import Order, write_order
from distill.train.recipe import Recipe
from gateway.settings import Home, make_home
from router.chat import AnswerMessage, FunctionCall, FunctionSpec, Message, Tool, ToolCall, Usage
from router.decision import Decision
from tests.distill.store.made import trace

NOW = 1_795_770_000.0  # 2026-11-27 09:00 UTC
DAY = 86_400.0
QUESTIONS = 40  # half of them need a tool

_numbers = itertools.count()


def home_in(folder: Path) -> Home:
    return make_home(Home(folder / "data", folder / "models"))


def marks(exact: int, called: int = 20, needless: int = 0) -> list[Mark]:
    """QUESTIONS answers: so many exact, so many tools called where one is needed, and where none is."""
    return [
        Mark(
            str(number),
            "search" if number < 20 else "edge",
            needed=number < 20,
            called=number < called if number < 20 else number - 20 < needless,
            exact=number < exact,
            right=number < exact,
            seconds=2.0,
            alone=True,
        )
        for number in range(QUESTIONS)
    ]


def verdict_on(mine: Sequence[Mark], served: Sequence[Mark] | None = None, base: int = 2) -> Verdict:
    found = judge(marks(base), mine, 0.05)
    if served is None:
        return found
    beside = succession("small-served", served, mine, 0.05 / 14, 0.05)
    reasons = [*found.reasons, *([] if beside.may_follow else [beside.told])]
    return msgspec.structs.replace(found, passed=not reasons, reasons=reasons, succession=beside)


def add_night(
    home: Home,
    outcome: Outcome = "",
    reason: str = "",
    *,
    began: float = NOW - 5 * 3600,
    watermark: int = 100,
    served: str = "",
    datasets: dict[str, str] | None = None,
    candidates: Sequence[Candidate] = (),
    stages: Sequence[Stage] = (),
    **more: Any,
) -> Record:
    """A night in the diary; without an outcome it is not over."""
    diary = Diary(home.data / "nights")
    record = diary.begin(f"inputs-{next(_numbers)}", watermark, served, began)
    record.datasets, record.candidates = datasets or {}, list(candidates)
    record.chosen = candidates[0].adapter if candidates else ""
    record.stages = {name: Done(began + 60, 60.0) for name in stages}
    record.reason = reason
    for name, value in more.items():
        setattr(record, name, value)
    diary.write(record)
    if outcome:
        diary.end(record, outcome, reason, began + 3600)
    return record


def add_adapter(home: Home, verdict: Verdict | None, answers: dict[str, list[Mark]] | None = None) -> Candidate:
    """A finished run, published, with card and answers."""
    number = next(_numbers)
    run = home.models / "runs" / f"run-{number}"
    write_order(Order("/models/small", "/data/whole", Recipe()), run)
    (run / "adapter").mkdir()
    (run / "adapter" / "adapters.safetensors").write_bytes(b"weights")
    (run / "result.json").write_text(json.dumps({"adapter_digest": f"{number:012x}"}))
    name, folder = publish(home.models, run)
    write_card(folder, run, verdict, f"{datetime.fromtimestamp(NOW - DAY, UTC):%Y%m%dT%H%M%SZ}-made")
    for label, found in (answers or {}).items():
        items = [Item(_question(mark.question), None) for mark in found]  # type: ignore[arg-type]
        write_answers(folder, label, items, [Answered(mark, "", "") for mark in found])
    return Candidate(name, run.name, "whole", verdict=msgspec.to_builtins(verdict) if verdict else None)


def _question(name: str) -> Question:
    return Question(name, "repository", "search", "template", "Where?", [], Oracle("names", ()))


def go_live(home: Home, adapter: str, before: str = "") -> None:
    """The live pointer, as the gateway writes it, to a folder with weights."""
    folder = home.models / "served"
    folder.mkdir(exist_ok=True)
    (folder / "adapters.safetensors").write_bytes(b"weights")
    previous = {"adapter": before, "path": "p", "digest": "d", "since": "earlier"} if before else None
    live = {"adapter": adapter, "path": str(folder), "digest": "d", "previous": previous}
    live["since"] = "2026-11-27T05:00:00+00:00"
    (home.models / "live.json").write_text(json.dumps(live))


def add_dataset(home: Home, calls: Sequence[int]) -> str:
    """A dataset with a conversation for each number of turns that call something; its name."""
    made = [_example(number, turns) for number, turns in enumerate(calls)]
    return write_dataset(made, Counter(), home.data / "datasets", valid_share=0.0).digest


def _example(number: int, turns: int) -> Example:
    name = f"{next(_numbers)}"
    words = " ".join(f"{word}{name}" for word in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"))
    messages = [Message("user", f"{words}?")]
    for turn in range(turns):
        call = ToolCall(f"c{turn}", FunctionCall("search", json.dumps({"pattern": f"{words} {turn}"})))
        messages += [Message("assistant", None, [call]), Message("tool", f"{words} found", tool_call_id=call.id)]
    messages.append(Message("assistant", f"{words}."))
    tools = [Tool(FunctionSpec("search", "Looks.", {"type": "object"}))]
    return Example(f"c{name}", "", [f"t{name}"], messages, tools, created=float(number))


async def add_day(home: Home, ago: int, **requests: int) -> None:
    """Requests of a day so many days ago: `student`, `teacher`, `failed` of the teacher's, `cached` and `imported`."""
    kinds: dict[str, tuple[Decision, str, float, str]] = {
        "student": (Decision(arm="student", reason="verified"), "completed", 1.0, ""),
        "teacher": (Decision(arm="teacher", reason="doubtful"), "completed", 4.0, ""),
        "failed": (Decision(arm="teacher", reason="doubtful"), "failed", 9.0, ""),
        "stood_in": (Decision(arm="student", reason="teacher_failed"), "completed", 1.0, ""),
        "cached": (Decision(arm="student", reason="cached"), "completed", 0.001, ""),
        "imported": (Decision(arm="teacher", reason="requested"), "completed", 100.0, "import:codex"),
    }
    found = []
    for kind, count in requests.items():
        decision, state, seconds, client = kinds[kind]
        for _ in range(count):
            made = trace(
                f"trace-{next(_numbers)}",
                f"c{next(_numbers)}",
                created=NOW - ago * DAY,
                decision=decision,
                seconds={"total": seconds},
                usage=Usage(90, 10, 100),
                client=client,
                answer=AnswerMessage("Here."),
            )
            found.append(msgspec.structs.replace(made, state=state))
    async with await TraceStore.open(home.data / "traces.db") as store:
        await store.insert(found)
