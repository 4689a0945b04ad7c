"""A night before it trains: a dataset of what is there when it is done, and nothing left over."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from distill.dataset import Dataset, alone, forget_in, traces_of
from distill.dataset.contamination import Passage
from distill.dataset.example import read_examples
from distill.day import Day
from distill.errors import DatasetError
from distill.examination.drawn import DrawnExamination
from distill.filters import Rules
from distill.night.course import night
from distill.night.gathering import Known, Unlike, gather, label_traces
from distill.night.settings import NightError, NightOver, NightSettings
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage
from tests.distill.filters.scenes import make_repository, new_scene
from tests.distill.test_labelling import filled, scenes

QUESTIONS = Path(__file__).resolve().parents[3] / "data" / "questions"
VOCABULARIES = QUESTIONS.with_name("vocabularies")
NOTHING = Known()
pytestmark = pytest.mark.timeout(120)


class Stages:
    """Progress that does something when a stage begins."""

    def __init__(self, begun: Callable[[str], None] = lambda name: None) -> None:
        self._begun = begun

    def stage(self, name: str, total: int | None) -> None:
        self._begun(name)

    def step(self, done: int | None = None, note: str = "") -> None: ...


class Steady(Day):
    """A gateway whose teacher says the same again."""

    async def again(self, trace: Trace, number: int) -> AnswerMessage:
        assert trace.answer is not None
        return trace.answer


async def learnt(
    data: Path,
    stages: Stages,
    minimum: int = 1,
    confirm: bool = False,
    passages: Sequence[Passage] = (),
    known: Known = NOTHING,
) -> Dataset:
    nobody = DrawnExamination("none", 1, [], 0, 0)
    rules, kept_out = Rules(confirm=confirm), tuple(passages)
    chosen = NightSettings(
        data, data, data, QUESTIONS, VOCABULARIES, nobody, {}, 0, minimum=minimum, rules=rules, passages=kept_out
    )
    with alone(data / "datasets"):
        async with Steady("http://127.0.0.1:9", "nobody") as day:
            async with await TraceStore.open(data / "traces.db", 60.0) as store:
                until = await store.watermark()
            await label_traces(chosen, until, day, stages)
            return (await gather(chosen, [], until, known, 1, stages)).whole


async def stored(data: Path) -> None:
    async with await TraceStore.open(data / "traces.db") as store:
        await filled(store, scenes(data, ours=False, count=6))


def traces_in(dataset: Dataset) -> set[str]:
    files = [Path(dataset.folder, f"{part}.jsonl") for part in ("train", "valid")]
    return {name for file in files for example in read_examples(file) for name in example.traces}


async def test_what_is_forgotten_while_a_dataset_is_made_is_not_in_it(tmp_path: Path) -> None:
    await stored(tmp_path)

    async def forget() -> None:
        async with await TraceStore.open(tmp_path / "traces.db") as store:
            await store.forget(["c1.0", "c1.1", "c1.2"])
        forget_in(tmp_path / "datasets", ["c1.0", "c1.1", "c1.2"])

    def begun(stage: str) -> None:
        if stage == "building the dataset":
            with ThreadPoolExecutor(1) as other:
                other.submit(asyncio.run, forget()).result()

    dataset = await learnt(tmp_path, Stages(begun))
    assert "c1.2" in traces_of([Path(dataset.folder)])  # it was chosen
    assert len(traces_in(dataset)) == 3 * 3
    assert "c1.2" not in traces_in(dataset)


async def test_nothing_is_left_of_a_night_with_too_little_to_learn(tmp_path: Path) -> None:
    await stored(tmp_path)
    with pytest.raises(NightOver, match="6 conversations passed the filters, and a night wants 7"):
        await learnt(tmp_path, Stages(), minimum=7)
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [({"kind": "dora"}, "DoRA cannot be"), ({"kind": "full"}, "makes no sense"), ({"soft": 0.5}, "answers alone")],
    ids=str,
)
async def test_a_recipe_that_ends_in_nothing_is_refused_before_anything_else(
    tmp_path: Path, recipe: dict[str, str], words: str
) -> None:
    nobody = DrawnExamination("none", 1, [], 0, 0)
    chosen = NightSettings(tmp_path, tmp_path, tmp_path, QUESTIONS, VOCABULARIES, nobody, recipe, 0)
    async with Steady("http://127.0.0.1:9", "nobody") as day:
        with pytest.raises((NightError, DatasetError), match=words):
            await night(chosen, day, Stages(lambda name: pytest.fail(f"{name} has begun")))


async def test_the_same_store_gives_the_same_dataset(tmp_path: Path) -> None:
    await stored(tmp_path)
    first = await learnt(tmp_path, Stages())
    assert await learnt(tmp_path, Stages()) == first
    assert first.train + first.valid == 4  # two are near duplicates


async def test_what_is_doubted_is_not_learnt(tmp_path: Path) -> None:
    await stored(tmp_path)
    first = await learnt(tmp_path, Stages())
    (one, *_) = traces_in(first)
    without = await learnt(tmp_path, Stages(), known=Known(doubted={one}))
    assert one not in traces_in(without)
    assert traces_in(without)
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        await store.forget([one])  # it had to make room: datasets still have it, and it would be replayed
    assert one not in traces_in(await learnt(tmp_path, Stages(), known=Known(doubted={one})))


async def test_what_other_examinations_ask_is_not_learnt(tmp_path: Path) -> None:
    await stored(tmp_path)
    (asked,) = {scene.messages[1].text for scene in scenes(tmp_path / "again", ours=False)}
    learnt_of = await learnt(tmp_path, Stages(), passages=[Passage(asked, "It is there.")])
    assert "c0.2" not in traces_in(learnt_of)
    assert learnt_of.train + learnt_of.valid < 4


async def test_a_night_of_which_no_example_is_left_is_over(tmp_path: Path) -> None:
    """It would be cut short in the same way whenever it is begun again."""
    await stored(tmp_path)
    asked = [scene.messages[1].text for scene in scenes(tmp_path / "again", ours=False, count=6)]
    passages = [Passage(one, "It is there.") for one in asked]
    with pytest.raises(NightOver, match="nothing to learn from: no example was kept"):
        await learnt(tmp_path, Stages(), passages=passages)


async def test_a_night_waits_for_a_gateway_that_writes(tmp_path: Path) -> None:
    await stored(tmp_path)

    def busy() -> None:
        with sqlite3.connect(tmp_path / "traces.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            locked.set_result(None)
            time.sleep(3.0)
            other.execute("ROLLBACK")

    def begun(stage: str) -> None:
        if stage == "asking the teacher again":
            gateway.submit(busy)
            locked.result()

    locked: Future[None] = Future()
    with ThreadPoolExecutor(1) as gateway:
        assert (await learnt(tmp_path, Stages(begun), confirm=True)).train == 4


async def test_a_day_of_bad_answers_is_told_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    """On one day a teacher says what no file says; the days before were sound."""
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        root, bad = make_repository(tmp_path, 3), list[Trace]()
        for number in range(80):
            scene = new_scene(root, random.Random(number)).ask().search().read()
            said = scene.say("It stands in vendor/elsewhere.py.") if number >= 40 else scene.say()
            created = 3000.0 if number >= 40 else 1000.0
            traces = [msgspec.structs.replace(one, created=created) for one in said.traces(f"c{number}")]
            bad += traces if number >= 40 else []
            await store.insert(traces)
    with pytest.raises(Unlike, match="of the 40 conversations that came have bad answers") as told:
        await learnt(tmp_path, Stages(), known=Known(since=2000.0))
    assert set(told.value.traces) == {one.id for one in bad}
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [".lock"]
    doubted = frozenset(told.value.traces)
    assert traces_in(await learnt(tmp_path, Stages(), known=Known(doubted=doubted, since=2000.0)))


async def test_what_somebody_wrote_into_a_dataset_is_not_replayed(tmp_path: Path) -> None:
    await stored(tmp_path)
    first = await learnt(tmp_path, Stages())
    before = traces_in(first)
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        await store.forget(sorted(before)[:1])  # had to make room: the dataset has it still
    by_hand(Path(first.folder, "train.jsonl"))
    told: list[str] = []
    dataset = await learnt(tmp_path, Notes(told))
    assert sorted(before)[0] not in traces_in(dataset)
    assert [note for note in told if "not replayed" in note] == [
        f"not replayed, since somebody has changed them: {Path(first.folder).name}"
    ]


def by_hand(file: Path) -> None:
    file.write_bytes(file.read_bytes() + file.read_bytes().splitlines(keepends=True)[0])


class Notes(Stages):
    """Progress that keeps what is noted."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__()
        self._notes = notes

    def step(self, done: int | None = None, note: str = "") -> None:
        self._notes.append(note)
