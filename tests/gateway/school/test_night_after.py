"""What the night makes of a generated set: what was kept is learnt, and nothing else is."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.collecting import Collector
from distill.filters import Rules, explain, sift
from distill.generate.answers import Answers
from distill.school.ledger import Settled, Taken
from distill.snapshots import Snapshots
from distill.store.store import TraceStore
from gateway.backends.scripted import Act
from router.chat import AnswerMessage
from tests.gateway.running import ROOT, Running, nightschool
from tests.gateway.school.teaching import DETOUR, answer_to, ledger_lines, set_folder, teacher

pytestmark = [pytest.mark.gateways, pytest.mark.timeout(300)]
SETTINGS = {"router__policy": "teacher", "teacher__attempts": 1, "teacher__failures": 0}
SPOILT = {
    "wrong_answer": Act(text="It is NothingLikeThat, in nowhere/at_all.py, line 4321."),
    "refused": Act(text="I'm sorry, I cannot help with that."),
    "empty": Act(text="  "),
    "cut": Act(text="It is", finish="length"),
    "invalid_call": Act(calls=[("read_file", "{]")]),
    "repeated": Act(calls=[("list_files", "{}")]),
    "refused_request": Act(status=400),
    "nonsense": Act(raw=b"<html>no</html>"),
}


def kind_of(question: str) -> str:
    """How the answers to a question are spoilt; '' for most, which are not."""
    kinds = [*SPOILT, *[""] * 12]
    return kinds[zlib.crc32(question.encode()) % len(kinds)]


def expected(question: dict[str, Any]) -> str:
    """Why an answer is dropped. What is repeated is a call that other vocabularies do not have; and where nobody could,
    it is right to say that one cannot."""
    kind = kind_of(question["text"])
    if kind == "refused" and question["oracle"]["kind"] in ("unable", "refusal"):
        return ""
    return "invalid_call" if kind == "repeated" and question["vocabulary"] != "explore" else kind


def spoilt(question: str, answer: AnswerMessage) -> Act | None:
    """Wrong answers come after the right calls; what is not JSON is answered once it was complained about."""
    kind = kind_of(question)
    late = kind in ("wrong_answer", "refused", "empty", "cut")
    return SPOILT[kind] if kind and not (late and answer.tool_calls) else None


def collector(store: TraceStore, home: Path) -> Collector:
    data = home / "data"
    snapshots = Snapshots(data / "snapshots", [], Path.home(), data / "repositories")
    answers = Answers.from_folder(ROOT / "data" / "questions", ROOT / "data" / "vocabularies")
    return Collector(store, data, Rules(), snapshots=snapshots, answers=answers)


async def sifted(home: Path) -> tuple[set[str], Counter[str], dict[str, str]]:
    """The conversations that are learnt, why others are not, and what would become of each if the run had not told the
    gateway of any: a reason, '' where it would be learnt."""
    learnt: set[str] = set()
    dropped = Counter[str]()
    untold: dict[str, str] = {}
    async with await TraceStore.open_to_read(home / "data" / "traces.db") as store:
        night = collector(store, home)
        async for traces in store.conversations():
            told = await night.told(traces)
            for found in sift([traces], told):
                learnt |= {example.conversation for example in found.examples}
                dropped.update(found.dropped)
            alone = explain(traces, dataclasses.replace(told, outcomes=lambda trace: ()))
            untold[alone.conversation] = min(one.reason for one in alone.trajectories)
    return learnt, dropped, untold


def kept_conversations(home: Path) -> set[str]:
    name = set_folder(home).name
    settled = [line for line in ledger_lines(home) if isinstance(line, Settled)]
    return {f"generate/{name}/{one.question}/{one.kept}" for one in settled if one.kept is not None}


def questions(home: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (set_folder(home) / "questions.jsonl").read_bytes().splitlines()]


def withheld_elsewhere(home: Path) -> set[str]:
    """The first answers to questions that another agent's tools are missing for."""
    name = set_folder(home).name
    found = [one for one in questions(home) if one["withheld"] and one["vocabulary"] != "explore"]
    return {f"generate/{name}/{one['id']}/0" for one in found}


def test_a_corrupted_teacher_teaches_only_what_is_right(tmp_path: Path) -> None:
    with teacher(spoilt) as script, Running(tmp_path, "", script.url, **SETTINGS) as gateway:
        flags = ("--repo", "click", "--total", "120", "--url", gateway.url)
        for _ in range(2):  # what was asked last may be left, as nothing else is answered any more
            done = nightschool("generate", *flags, home=tmp_path)
            assert done.returncode == 0, done.stderr
        report = msgspec.json.decode((set_folder(tmp_path) / "report.json").read_bytes())
        kinds = {one["id"]: expected(one) for one in questions(tmp_path)}
        wanted = Counter(kind for kind in kinds.values() if kind)
        assert set(wanted) == set(SPOILT)
        assert report["dropped"] == wanted
        assert report["all"]["kept"] == sum(not kind for kind in kinds.values())
        learnt, dropped, untold = asyncio.run(sifted(tmp_path))
        kept = kept_conversations(tmp_path)
        assert learnt <= kept, untold
        left = {name: untold[name] for name in kept - learnt}  # the night's filters ask for more than a right answer
        assert len(left) < 0.15 * len(kept), left
        withheld = withheld_elsewhere(tmp_path)  # the night knows of our own tools only that they are missing
        assert not [name for name, reason in left.items() if reason == "wrong_answer" and name not in withheld]
        assert dropped["bad_feedback"] >= wanted["wrong_answer"] + wanted["refused"]
        # the night alone would have learnt none of it either, for the sake of the right answers that it knows
        alone = {name: reason for name, reason in untold.items() if kinds[name.split("/")[2]]}
        assert all(alone.values())
        assert "wrong_answer" in alone.values()


def test_of_several_answers_only_the_shortest_right_one_is_learnt(tmp_path: Path) -> None:
    """The teacher first takes a way round, then the straight one, where there is one."""

    def detour(body: dict[str, Any]) -> Act | None:
        first = body.get("temperature") == 0 and len(body["messages"]) == 2
        needed = bool(answer_to(body).tool_calls)
        return Act(calls=[DETOUR]) if first and needed else None

    with teacher(of_body=detour) as script, Running(tmp_path, "", script.url, **SETTINGS) as gateway:
        flags = ("--repo", "click", "--total", "40", "--samples", "3", "--url", gateway.url)
        done = nightschool("generate", *flags, home=tmp_path)
        assert done.returncode == 0, done.stderr
        settled = [line for line in ledger_lines(tmp_path) if isinstance(line, Settled)]
        taken = Counter(line.question for line in ledger_lines(tmp_path) if isinstance(line, Taken))
        assert {taken[one.question] for one in settled} == {1, 2}  # never a third: it could not be shorter
        assert all(one.kept == taken[one.question] - 1 for one in settled)
        learnt, dropped, untold = asyncio.run(sifted(tmp_path))
        kept = kept_conversations(tmp_path)
        assert learnt <= kept, untold
        left = {name: untold[name] for name in kept - learnt}  # the night's filters ask for more than a right answer
        assert len(left) < 0.15 * len(kept), left
        withheld = withheld_elsewhere(tmp_path)  # the night knows of our own tools only that they are missing
        assert not [name for name, reason in left.items() if reason == "wrong_answer" and name not in withheld]
        # a way round that ends in a repeated call has no answer that feedback could be about
        assert dropped["bad_feedback"] + dropped["no_final_answer"] == sum(taken.values()) - 40
        assert "" in {untold[name] for name in untold.keys() - learnt}  # else nobody need have been told
