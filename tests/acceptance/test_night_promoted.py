"""Nights whose adapter is promoted, killed at every boundary of stages and at random moments: the same adapter serves
in the end, and never two."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distill.night.diary import STAGES, Diary, Record
from tests.acceptance.evening import begin_night, evening_of, evening_on, whole_night
from tests.gateway.running import Running

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(3600)]

_KINDS = ["class_defined", "function_defined"]
_KILLS = 20
_EXAMINATION = f"""
name = "two kinds"
version = 1
repositories = ["iniconfig", "attr"]
questions = 24
seed = 1
max_tokens = 40
kinds = {json.dumps(_KINDS)}
"""
_NIGHT = """
profile = "embedded"
[night]
minimum = 8
timed = 1
at_once = 8
memory_bytes = 6000000000
prompt = ""
replays = 8
recipe = { layers = 30, rank = 16, scale = 2.0, batch = 8, epochs = 1.0, learning_rate = 2e-3, max_tokens = 500 }
"""
_MADE = ("data/nights", "data/datasets", "data/sheets", "models/adapters")


class Watching:
    """What serves by models/live.json, looked at every few milliseconds."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self.seen: list[str] = []
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            (*files,) = self._models.glob("live*.json")
            try:
                for file in files:
                    self._look(file, len(files))
            except (OSError, ValueError, KeyError) as error:
                self.wrong.append(repr(error))

    def _look(self, file: Path, count: int) -> None:
        serves = str(json.loads(file.read_bytes())["adapter"])
        if serves not in self.seen[-1:]:
            self.seen.append(serves)
            size = (self._models / "adapters" / serves / "adapters.safetensors").stat().st_size
            if count > 1 or size < 1000:
                self.wrong.append(f"{count} pointers, and an adapter of {size} bytes")


class Evening:
    """A home after a day and the night that nobody disturbed: what serves since, and how long the night took without
    training."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with evening_of(home, night=_NIGHT, kinds=_KINDS, questions=64) as gateway:
            (home / "examination.toml").write_text(_EXAMINATION)
            code, said = whole_night(gateway, home / "examination.toml")
            assert code == 0, said
        record = last(home)
        assert record.outcome == "promoted", record.reason
        self.adapter = record.serves
        self.seconds = sum(done.seconds for name, done in record.stages.items() if name != "train")

    @contextmanager
    def again(self, home: Path, *, trained: bool) -> Iterator[Running]:
        """The home as it was in the evening, elsewhere; `trained`: but for the training, which is there."""
        shutil.copytree(self.home, home, symlinks=True)
        for name in (*_MADE, *(() if trained else ("models/runs",))):
            shutil.rmtree(home / name)
        for name in ("live.json", "router.json"):
            (home / "models" / name).unlink(missing_ok=True)
        with evening_on(home) as gateway:
            yield gateway

    def check(self, home: Path, watching: Watching) -> None:
        record = last(home)
        assert (record.outcome, record.chosen, record.serves) == ("promoted", self.adapter, self.adapter)
        assert (watching.seen, watching.wrong) == ([self.adapter], [])
        assert len(list(Diary(home / "data" / "nights").newest_first())) == 1


def last(home: Path) -> Record:
    return next(Diary(home / "data" / "nights").newest_first())


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    return Evening(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_a_boundary_of_stages(evening: Evening, tmp_path: Path, stage: str) -> None:
    home = tmp_path / "home"
    with evening.again(home, trained=True) as gateway, Watching(home / "models") as watching:
        with begin_night(gateway, home / "examination.toml") as night:
            while night.poll() is None and not (_began(home) and stage in last(home).stages):
                time.sleep(0.005)
            night.kill()
        if last(home).ended is None:
            code, said = whole_night(gateway, home / "examination.toml")
            assert code == 0, said
        evening.check(home, watching)


@pytest.mark.parametrize("number", range(4))
def test_killed_at_random_moments(evening: Evening, tmp_path: Path, number: int) -> None:
    """Five times each; the first one while it trains, too."""
    home, draw = tmp_path / "home", random.Random(20261127 + number)
    with evening.again(home, trained=number > 0) as gateway, Watching(home / "models") as watching:
        for _ in range(_KILLS // 4):
            with begin_night(gateway, home / "examination.toml") as night:
                time.sleep(draw.uniform(1.0, 4.0 + evening.seconds / 3))
                night.kill()
            if _began(home) and last(home).ended is not None:
                break
        if not _began(home) or last(home).ended is None:
            code, said = whole_night(gateway, home / "examination.toml")
            assert code == 0, said
        evening.check(home, watching)


def _began(home: Path) -> bool:
    return next(Diary(home / "data" / "nights").newest_first(), None) is not None
