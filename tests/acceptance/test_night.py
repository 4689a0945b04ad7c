"""A night by the command, on a gateway that runs: real traces, real training, a real examination, all of it tiny."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from openai import AsyncOpenAI

from distill.collecting import Collector
from distill.examination.drawn import DrawnExamination, set_drawn
from distill.examination.sitting import Pace, examine
from distill.filters import Explanation, Rules, explain
from distill.generate.answers import Answers
from distill.store.store import TraceStore
from gateway.nightly import snapshots
from gateway.sections import Settings
from gateway.settings import Home, shared
from tests.gateway.running import ROOT, Running, environment

pytestmark = [pytest.mark.model, pytest.mark.timeout(400)]

ARMS = ("base", "adapter", "teacher")
KINDS = ["class_defined", "function_defined", "sum"]
NIGHT = """
profile = "embedded"
[night]
minimum = 8
memory_bytes = 1000000000
recipe = { layers = 2, rank = 2, batch = 4, epochs = 0.5, learning_rate = 1e-4 }
"""


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway at the end of a day on which the expert answered a dozen questions."""
    home: Path = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    if (ROOT / "models" / "smollm2-135m").is_dir():
        (home / "models" / "smollm2-135m").symlink_to(ROOT / "models" / "smollm2-135m")
    (home / "nightschool.toml").write_text(NIGHT)
    with Running(home, "", "", "--profile", "embedded", router__uncertified="shadow") as gateway:
        gateway.wait(lambda health: health["student"]["ready"] and health["teacher"]["ready"], 200)
        asyncio.run(_work(gateway, home))
        yield gateway


async def _work(gateway: Running, home: Path) -> None:
    lessons = DrawnExamination("day", 1, ["pluggy"], 12, 1, kinds=KINDS)
    items = await set_drawn(lessons, ROOT / "data" / "questions", home / "data" / "repositories")
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none") as client:
        done = await examine(client, "nightschool", items, pace=Pace(4), max_tokens=72)
    assert all(mark.right and mark.exact for mark, _ in done)
    await asyncio.sleep(0.5)


def _night(gateway: Running, examination: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.cli", "night", "--config", "nightschool.toml"]
    return subprocess.run(
        [*command, "--examination", str(examination)],
        env=environment(gateway.home, NIGHTSCHOOL_GATEWAY_PORT=str(gateway.port)),
        cwd=gateway.home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_results_of_the_day_are_read_again(evening: Running) -> None:
    async def explained() -> list[Explanation]:
        data = evening.home / "data"
        answers = Answers.from_folder(shared("data", "questions"), shared("data", "vocabularies"))
        found = snapshots(Settings(), Home(data, evening.home / "models"))
        async with await TraceStore.open_to_read(data / "traces.db") as store:
            collector = Collector(store, data, Rules(), snapshots=found, answers=answers)
            return [explain(traces, await collector.told(traces)) async for traces in store.conversations()]

    ways = [way for found in asyncio.run(explained()) for way in found.trajectories]
    assert len(ways) == 12
    assert all(len(way.learnt) == (way.messages - 1) // 2 for way in ways)
    assert {(f.effect, f.reason) for way in ways for f in way.findings if f.check == "rerun"} == {("passed", "")}


@pytest.mark.gateways
def test_a_night_that_learns_too_little_is_kept_and_not_promoted(evening: Running) -> None:
    home = evening.home
    examination = home / "small.toml"
    examination.write_text(
        f'name = "small"\nversion = 1\nrepositories = ["iniconfig"]\nquestions = 4\nseed = 1\nmax_tokens = 24\n'
        f"kinds = {json.dumps(KINDS)}\n"
    )
    before = _night(evening, examination)
    assert before.returncode == 0, before.stderr
    assert "kept, not promoted" in before.stderr

    (dataset,) = (home / "data" / "datasets").glob("[!.]*")
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["repositories"] == {"pluggy": manifest["train"] + manifest["valid"]}
    (run,) = (home / "models" / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    assert result["shared_prefix"]
    (adapter,) = (home / "models" / "adapters").iterdir()
    card = json.loads((adapter / "card.json").read_text())
    assert (card["dataset"], card["run"]) == (dataset.name, run.name)
    assert not card["verdict"]["passed"]
    assert [len((adapter / f"examination-{arm}.jsonl").read_text().splitlines()) for arm in ARMS] == [4, 4, 4]
    assert not (home / "models" / "live.json").exists()
    _, status = evening.admin("/admin/status", method="GET")
    assert (status["leased_bytes"], status["live"], status["adapters"]) == (0, None, {})

    trained = (run / "adapter" / "adapters.safetensors").stat().st_mtime_ns
    proposal = {"adapter": adapter.name, "path": str(adapter), "verdict": {}}
    assert evening.admin("/admin/proposals", proposal)[0] == 201
    again = _night(evening, examination)
    assert again.returncode == 0, again.stderr
    assert "Serving: " in again.stderr  # what the live adapter has proven, or what is missing
    assert evening.admin("/admin/status", method="GET")[1]["router"]["times"] == 1
    assert (
        run / "adapter" / "adapters.safetensors"
    ).stat().st_mtime_ns == trained  # done once, and known by its inputs


def test_a_night_without_enough_to_learn_says_so(evening: Running) -> None:
    examination = evening.home / "all-reserved.toml"
    exam = DrawnExamination("reserved", 1, ["pluggy"], 2, 1, kinds=KINDS)  # the very repository the day was about
    lines = [f"{key} = {json.dumps(value)}" for key, value in msgspec.to_builtins(exam).items()]
    examination.write_text("\n".join(lines))
    night = _night(evening, examination)
    assert night.returncode == 1
    assert "0 conversations passed the filters" in night.stderr
    assert "reserved 12" in night.stderr
