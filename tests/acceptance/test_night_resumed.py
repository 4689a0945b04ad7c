"""Nights that are killed, stopped or out of time: each ends with the adapter that it would have ended with."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator

import pytest

from distill.night.diary import STAGES, Diary, Record
from tests.acceptance.evening import SMALL, begin_night, evening_of, whole_night
from tests.gateway.running import Running

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(900)]

_KILLS = 20
_MADE = ("nights", "datasets", "sheets")


class Evening:
    """A gateway after a day, the examination of its nights, and the adapter that one makes which nobody disturbs."""

    def __init__(self, gateway: Running) -> None:
        self.gateway = gateway
        self.data, self.models = gateway.home / "data", gateway.home / "models"
        self.examination = gateway.home / "small.toml"
        self.examination.write_text(SMALL)
        code, said = whole_night(gateway, self.examination)
        assert code == 0, said
        self.adapter, self.seconds = self.night.chosen, self._seconds()

    @property
    def night(self) -> Record:
        return next(Diary(self.data / "nights").newest_first())

    def _seconds(self) -> float:
        assert self.night.ended is not None
        return self.night.ended - self.night.began

    @property
    def ended(self) -> bool:
        newest = next(Diary(self.data / "nights").newest_first(), None)
        return newest is not None and newest.ended is not None

    def go_on(self) -> None:
        """To its end, unless it has ended: another night would find nothing new."""
        if not self.ended:
            code, said = whole_night(self.gateway, self.examination)
            assert code == 0, said

    def forget_nights(self) -> None:
        for folder in (*(self.data / name for name in _MADE), self.models / "runs", self.models / "adapters"):
            shutil.rmtree(folder, ignore_errors=True)

    def check_whole(self) -> None:
        """What has its name is complete, whenever somebody looks."""
        assert not (self.models / "live.json").exists()
        for folder in (self.models / "adapters").glob("[!.]*"):
            assert (folder / "adapters.safetensors").stat().st_size > 1000
        for folder in (self.data / "datasets").glob("[!.]*"):
            manifest = json.loads((folder / "manifest.json").read_text())
            assert len((folder / "train.jsonl").read_text().splitlines()) == manifest["train"]


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    with evening_of(tmp_path_factory.mktemp("home")) as gateway:
        yield Evening(gateway)


def test_killed_at_every_boundary_of_stages_it_ends_the_same(evening: Evening) -> None:
    for stage in STAGES:
        evening.forget_nights()
        with begin_night(evening.gateway, evening.examination) as night:
            _until(lambda name=stage: name in evening.night.stages)  # type: ignore[misc]
            night.kill()
        evening.check_whole()
        evening.go_on()
        assert (evening.night.chosen, evening.night.outcome) == (evening.adapter, "refused"), stage
        assert len(list(Diary(evening.data / "nights").newest_first())) == 1


def test_killed_at_random_moments_it_ends_the_same(evening: Evening) -> None:
    draw, kills, nights = random.Random(20261127), 0, 0
    while kills < _KILLS:
        evening.forget_nights()
        nights += 1
        for _ in range(7):
            with begin_night(evening.gateway, evening.examination) as night:
                time.sleep(draw.uniform(1.0, 0.7 * evening.seconds))
                kills += night.poll() is None
                night.kill()
            evening.check_whole()
            if evening.ended:
                break
        evening.go_on()
        assert evening.night.chosen == evening.adapter, nights


def test_it_stops_where_it_is_told_and_goes_on(evening: Evening) -> None:
    evening.forget_nights()
    for stage in ("filter", "train"):
        code, said = whole_night(evening.gateway, evening.examination, "--until", stage)
        assert code == 0, said
        assert f"stopped after '{stage}'" in said
    assert list(evening.night.stages) == ["label", "filter", "train"]
    assert not list((evening.models / "adapters").glob("*"))
    code, said = whole_night(evening.gateway, evening.examination)
    assert code == 0, said
    assert evening.night.chosen == evening.adapter


def test_a_dry_run_tells_what_would_be_done_and_leaves_nothing(evening: Evening) -> None:
    evening.forget_nights()
    code, said = whole_night(evening.gateway, evening.examination, "--dry-run")
    assert code == 0, said
    assert "12 conversations of" in said
    assert "from the base" in said
    assert not list((evening.data / "nights").glob("*"))
    assert not list((evening.data / "datasets").glob("[!.]*"))
    assert not list((evening.models / "runs").glob("*"))


def test_without_time_nothing_is_trained_and_it_says_so(evening: Evening) -> None:
    evening.forget_nights()
    code, said = whole_night(evening.gateway, evening.examination, "--hours", "0.002")
    assert code == 0, said
    assert "its time was over during" in said or "there is no time to train" in said
    assert evening.night.outcome in ("nothing", "partial")
    assert not list((evening.models / "adapters").glob("*"))


def test_a_dataset_that_somebody_changed_is_told(evening: Evening) -> None:
    evening.forget_nights()
    assert whole_night(evening.gateway, evening.examination, "--until", "filter")[0] == 0
    (dataset,) = (evening.data / "datasets").glob("[!.]*")
    lines = (dataset / "train.jsonl").read_bytes().splitlines(keepends=True)
    (dataset / "train.jsonl").write_bytes(b"".join(lines[:-1]))
    code, said = whole_night(evening.gateway, evening.examination)
    assert code == 1
    assert "somebody has changed it. Move it away" in said
    shutil.rmtree(dataset)
    code, said = whole_night(evening.gateway, evening.examination)
    assert code == 0, said
    assert evening.night.chosen == evening.adapter


def _until(so: object, seconds: float = 200.0) -> None:
    """Wait until something is so."""
    assert callable(so)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if so():
                return
        except StopIteration:  # no night has begun yet
            pass
        time.sleep(0.02)
    raise AssertionError("it was never so")
