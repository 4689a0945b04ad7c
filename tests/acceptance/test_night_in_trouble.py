"""Nights that miss something: a teacher, room on the disk, the adapter that served. Each ends cleanly and says why."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distill.night.diary import Diary, Record
from tests.acceptance.evening import SMALL, evening_of, night_of, whole_night
from tests.gateway.running import Running

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a day and a night, whose gateway is gone."""
    home: Path = tmp_path_factory.mktemp("home")
    (home / "small.toml").write_text(SMALL)
    with evening_of(home) as gateway:
        code, said = whole_night(gateway, home / "small.toml")
        assert code == 0, said
    return home


def last(home: Path) -> Record:
    return next(Diary(home / "data" / "nights").newest_first())


@contextmanager
def again(home: Path, teacher: str = "") -> Iterator[Running]:
    """Another gateway on it."""
    options = {"router__uncertified": "shadow", **({"teacher__model": ""} if teacher else {})}
    with Running(home, "", teacher, "--profile", "embedded", **options) as gateway:
        gateway.wait(lambda health: health["student"]["ready"], 200)
        yield gateway


def test_without_a_teacher_the_night_learns_from_what_there_is(home: Path) -> None:
    before = last(home).chosen
    _forget_nights(home)
    (home / "models" / "adapters" / before / "examination-teacher.jsonl").unlink()
    sheets = {path: path.read_bytes() for path in (home / "data" / "sheets").glob("*/*.jsonl")}
    for path in sheets:
        path.unlink()  # nobody was examined before
    with again(home, "http://127.0.0.1:9/v1") as gateway:
        code, said = whole_night(gateway, home / "small.toml")
    assert code == 0, said
    assert (last(home).chosen, last(home).outcome) == (before, "refused")
    assert not (home / "models" / "adapters" / before / "examination-teacher.jsonl").exists()


@pytest.mark.parametrize("size", [30_000, 120_000], ids=["not even begun", "too small for an adapter"])
def test_where_no_file_may_grow_the_night_says_so_and_goes_on_later(home: Path, size: int) -> None:
    before = last(home).chosen
    with again(home) as gateway:
        _forget_nights(home)
        for folder in (home / "data" / "datasets", home / "models" / "runs", home / "models" / "adapters"):
            shutil.rmtree(folder)
        code, said = night_of(gateway, home / "small.toml", lambda: _limit(size))
        assert code == 1
        assert "Traceback" not in said
        assert "too large" in said or "full" in said or "disk" in said, said
        assert not (home / "models" / "live.json").exists()
        code, said = whole_night(gateway, home / "small.toml")
        assert code == 0, said
    assert (last(home).chosen, len(list((home / "data" / "nights").glob("[!.]*")))) == (before, 1)


def test_an_adapter_that_serves_and_is_gone_is_no_hindrance(home: Path) -> None:
    _forget_nights(home)
    live = {"adapter": "gone", "path": str(home / "models" / "adapters" / "gone"), "digest": "", "since": ""}
    (home / "models" / "live.json").write_text(json.dumps(live))
    with again(home) as gateway:
        code, said = whole_night(gateway, home / "small.toml")
    assert code == 0, said
    record = last(home)
    assert (record.served, record.outcome) == ("", "refused")  # what serves without it is the base
    assert record.candidates[0].parent == ""


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _forget_nights(home: Path) -> None:
    """What was judged already is not judged again."""
    shutil.rmtree(home / "data" / "nights")
