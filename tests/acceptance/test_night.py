"""A night by the command, on a gateway that runs: real traces, real training, a real examination, all of it tiny."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import msgspec
import pytest

from distill.collecting import Collector
from distill.examination.drawn import DrawnExamination
from distill.filters import Explanation, Rules, explain
from distill.generate.answers import Answers
from distill.night.diary import Diary
from distill.store.store import TraceStore
from gateway.nightly import snapshots
from gateway.sections import Settings
from gateway.settings import Home, shared
from tests.acceptance.evening import KINDS, SMALL, evening_of, whole_night
from tests.gateway.running import Running

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(400)]

ARMS = ("base", "adapter", "teacher")


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with evening_of(tmp_path_factory.mktemp("home")) as gateway:
        yield gateway


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


def test_a_night_that_learns_too_little_is_kept_and_not_promoted(evening: Running) -> None:
    home = evening.home
    examination = home / "small.toml"
    examination.write_text(SMALL)
    code, said = whole_night(evening, examination)
    assert code == 0, said
    assert "kept, not promoted" in said

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
    night = Diary(home / "data" / "nights").last_ended()
    assert night is not None
    assert [(one.wanted, one.too_long) for one in night.candidates] == [(manifest["train"], result["too_long"])]
    assert [len((adapter / f"examination-{arm}.jsonl").read_text().splitlines()) for arm in ARMS] == [4, 4, 4]
    assert not (home / "models" / "live.json").exists()
    _, status = evening.admin("/admin/status", method="GET")
    assert (status["leased_bytes"], status["live"], status["adapters"]) == (0, None, {})

    trained = (run / "adapter" / "adapters.safetensors").stat().st_mtime_ns
    proposal = {"adapter": adapter.name, "path": str(adapter), "verdict": {}}
    assert evening.admin("/admin/proposals", proposal)[0] == 201
    code, said = whole_night(evening, examination)
    assert code == 0, said
    assert f"nothing came since {adapter.name} was made that may be learnt" in said
    assert "Serving: " in said  # what the live adapter has proven, or what is missing
    assert evening.admin("/admin/status", method="GET")[1]["router"]["times"] == 0  # so few labels are no test
    assert (
        run / "adapter" / "adapters.safetensors"
    ).stat().st_mtime_ns == trained  # done once, and known by its inputs


def test_a_night_without_enough_to_learn_says_so(evening: Running) -> None:
    examination = evening.home / "all-reserved.toml"
    exam = DrawnExamination("reserved", 1, ["pluggy"], 2, 1, kinds=KINDS)  # the very repository the day was about
    lines = [f"{key} = {json.dumps(value)}" for key, value in msgspec.to_builtins(exam).items()]
    examination.write_text("\n".join(lines))
    code, said = whole_night(evening, examination)
    assert code == 0  # nothing went wrong
    assert "0 conversations passed the filters" in said
    assert "reserved 12" in said
    last = Diary(evening.home / "data" / "nights").last_ended()
    assert last is not None
    assert (last.outcome, last.candidates) == ("nothing", [])
