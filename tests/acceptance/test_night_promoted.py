"""Nights whose adapter is promoted, killed at every moment that matters and at random ones: the same adapter serves in
the end, and never two."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from distill.night.diary import Diary, Record, Stage
from tests.acceptance.evening import begin_night, evening_of, evening_on, whole_night
from tests.gateway.running import Running

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(3600)]

_KINDS = ["class_defined", "function_defined"]
_STARTS = 5  # each of which is killed, of each of the nights that are killed at random
_MOMENTS = (*get_args(Stage), "weights", "card", "certificate", "live")
_SECONDS = 1200  # that a night may take on a machine with other work
_EXAMINATION = f"""
name = "two kinds"
version = 1
repositories = ["tenacity", "attr"]
questions = 24
seed = 1
max_tokens = 72
kinds = {json.dumps(_KINDS)}
"""
_NIGHT = """
profile = "embedded"
[canary]
on = false
[night]
minimum = 8
timed = 0
at_once = 8
memory_bytes = 6000000000
prompt = ""
replays = 8

[night.recipe]
layers = 30
rank = 16
scale = 2.0
batch = 8
epochs = 3.0
patience = 0
checkpoint = 2
learning_rate = 2e-3
max_tokens = 500
"""


class Watching:
    """What serves by models/live.json, looked at every few milliseconds, and once more in the end."""

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
        over = False
        while not over:
            over = self._over.wait(0.005)
            files = list(self._models.glob("live*.json"))
            try:
                for file in files:
                    self._look(file, len(files))
            except (OSError, ValueError, KeyError) as error:
                self.wrong.append(repr(error))

    def _look(self, file: Path, count: int) -> None:
        serves = str(json.loads(file.read_bytes())["adapter"])
        size = (self._models / "adapters" / serves / "adapters.safetensors").stat().st_size
        if count > 1 or size < 1000:
            self.wrong.append(f"{count} pointers, and an adapter of {size} bytes")
        if serves not in self.seen[-1:]:
            self.seen.append(serves)


class Evening:
    """A home after a day, and what became of it in a night that nobody disturbed; how long that took without training,
    in seconds."""

    def __init__(self, folder: Path) -> None:
        self._day, self._night = folder / "day", folder / "night"
        self._day.mkdir()
        with evening_of(self._day, night=_NIGHT, kinds=_KINDS, questions=64):
            (self._day / "examination.toml").write_text(_EXAMINATION)
        shutil.copytree(self._day, self._night, symlinks=True)
        with evening_on(self._night) as gateway:
            code, said = _to_its_end(gateway)
            assert code == 0, said
        record = last(self._night)
        assert record.outcome == "promoted", record.reason
        self.adapter = record.serves
        self.seconds = sum(done.seconds for name, done in record.stages.items() if name != "train")

    @contextmanager
    def again(self, home: Path, *, trained: bool = True) -> Iterator[tuple[Running, Watching]]:
        """The home as it was in the evening, elsewhere; `trained`: but for the training, which is there. What serves is
        watched, and looked at once nobody is at it any more."""
        shutil.copytree(self._day, home, symlinks=True)
        if trained:
            shutil.copytree(self._night / "models" / "runs", home / "models" / "runs")
        with evening_on(home) as gateway:
            with Watching(home / "models") as watching:
                yield gateway, watching
            assert (watching.seen, watching.wrong) == ([self.adapter], [])
            told = gateway.admin("/admin/status", method="GET")[1]
            assert (told["live"]["adapter"], list(told["adapters"])) == (self.adapter, [self.adapter])

    def check(self, home: Path) -> None:
        record = last(home)
        assert (record.outcome, record.chosen, record.serves) == ("promoted", self.adapter, self.adapter)
        assert len(list(Diary(home / "data" / "nights").newest_first())) == 1


def last(home: Path) -> Record:
    return next(Diary(home / "data" / "nights").newest_first())


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    return Evening(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("moment", _MOMENTS)
def test_killed_at_a_moment(evening: Evening, tmp_path: Path, moment: str) -> None:
    home = tmp_path / "home"
    with evening.again(home) as (gateway, _):
        _killed_at(moment, gateway, home)
        _go_on(gateway, home)
        evening.check(home)


@pytest.mark.parametrize("number", range(4))
def test_killed_at_random_moments(evening: Evening, tmp_path: Path, number: int) -> None:
    """Several times each; the first one while it trains, too."""
    home, draw, kills = tmp_path / "home", random.Random(20261127 + number), 0
    with evening.again(home, trained=number > 0) as (gateway, _):
        for _start in range(_STARTS):
            with begin_night(gateway, home / "examination.toml") as night:
                time.sleep(draw.uniform(4.0, 8.0 + 0.4 * evening.seconds))
                kills += night.poll() is None
                night.kill()
            if _ended(home):
                break
        _go_on(gateway, home)
        evening.check(home)
    assert kills


def test_a_night_that_has_no_time_after_its_promotion_says_what_serves(evening: Evening, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with evening.again(home) as (gateway, _):
        _killed_at("live", gateway, home)
        if not _ended(home):  # which it has a few milliseconds later
            assert _to_its_end(gateway, "--hours", "0.0002")[0] == 0
        evening.check(home)


def test_a_promotion_is_told_of_a_night_that_nobody_goes_on_with(evening: Evening, tmp_path: Path) -> None:
    """Since the settings are others now."""
    home = tmp_path / "home"
    with evening.again(home) as (gateway, _):
        _killed_at("live", gateway, home)
        settings = home / "nightschool.toml"
        settings.write_text(settings.read_text().replace("minimum = 8", "minimum = 9"))
        assert _to_its_end(gateway)[0] == 0
        newer, older = Diary(home / "data" / "nights").newest_first()
        assert (older.outcome, older.chosen, older.serves) == ("promoted", evening.adapter, evening.adapter)
        assert (newer.outcome, newer.serves) == ("nothing", evening.adapter)


def _killed_at(moment: str, gateway: Running, home: Path) -> None:
    with begin_night(gateway, home / "examination.toml") as night:
        try:
            while night.poll() is None and not _reached(home, moment):
                time.sleep(0.001)
            assert night.poll() is None, "it was over before it could be killed"
        finally:
            night.kill()


def _reached(home: Path, moment: str) -> bool:
    models = home / "models"
    match moment:
        case "weights":
            return any((models / "adapters").glob("*/adapters.safetensors"))
        case "card":
            return any((models / "adapters").glob("*/card.json"))
        case "certificate":
            return (models / "router.json").exists()
        case "live":
            return (models / "live.json").exists()
        case _:
            return _began(home) and moment in last(home).stages


def _go_on(gateway: Running, home: Path) -> None:
    if not _ended(home):
        code, said = _to_its_end(gateway)
        assert code == 0, said


def _to_its_end(gateway: Running, *options: str) -> tuple[int, str]:
    return whole_night(gateway, gateway.home / "examination.toml", *options, seconds=_SECONDS)


def _ended(home: Path) -> bool:
    return _began(home) and last(home).ended is not None


def _began(home: Path) -> bool:
    return next(Diary(home / "data" / "nights").newest_first(), None) is not None
