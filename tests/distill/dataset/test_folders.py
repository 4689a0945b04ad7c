"""Datasets on disk: which are the newest, whose traces they hold, and forgetting some of these."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from distill.dataset import (
    COLLECTED,
    alone,
    forget_in,
    newest,
    read_examples,
    replayed,
    traces_of,
    traces_where,
    write_dataset,
)
from distill.errors import DatasetError
from tests.distill.dataset.making import example


def made(home: Path, *numbers: int, valid: float = 0.0) -> Path:
    return Path(write_dataset([example(n) for n in numbers], Counter(), home, valid_share=valid).folder)


def traces_in(folder: Path) -> list[str]:
    return sorted(one.traces[0] for part in ("train", "valid") for one in read_examples(folder / f"{part}.jsonl"))


def test_what_was_forgotten_is_in_no_dataset(tmp_path: Path) -> None:
    one, two = made(tmp_path, *range(1, 30), valid=0.3), made(tmp_path, 28, 29, 40)
    before = (one / "train.jsonl").read_bytes()
    assert forget_in(tmp_path, ["trace-29", "trace-3", "trace-999"]) == 3
    assert traces_in(one) == sorted(f"trace-{n}" for n in range(1, 29) if n != 3)
    assert traces_in(two) == ["trace-28", "trace-40"]
    assert b"trace-29" not in (one / "train.jsonl").read_bytes() + (two / "train.jsonl").read_bytes()
    assert [msgspec.json.decode((folder / "manifest.json").read_bytes())["forgotten"] for folder in (one, two)] == [
        2,
        1,
    ]
    assert "trace-29" in traces_of([one])  # whoever learnt from it can still be told
    assert forget_in(tmp_path, ["trace-29"]) == 0
    assert all(line in before for line in (one / "train.jsonl").read_bytes().splitlines())
    assert sorted(path.name for path in one.iterdir()) == ["manifest.json", "train.jsonl", "valid.jsonl"]


def test_a_damaged_dataset_keeps_nothing_of_what_was_forgotten(tmp_path: Path) -> None:
    unnamed, torn, missing = made(tmp_path, 1, 2), made(tmp_path, 1, 4), made(tmp_path, 1, 6)
    (unnamed / "manifest.json").write_text("{")
    with (torn / "train.jsonl").open("ab") as file:
        file.write(b'{"conversation":"c","traces":["trace-1"],"mess')
    (missing / "valid.jsonl").unlink()
    assert forget_in(tmp_path, ["trace-1"]) == 4
    assert traces_in(unnamed) == ["trace-2"]
    assert traces_in(torn) == ["trace-4"]
    assert [one.traces for one in read_examples(missing / "train.jsonl")] == [["trace-6"]]
    with pytest.raises(DatasetError, match=r"manifest\.json cannot be read"):
        traces_of([torn, unnamed])
    assert forget_in(tmp_path / "nowhere", ["trace-1"]) == 0


def test_the_newest_are_replayed_but_for_what_is_still_in_the_store(tmp_path: Path) -> None:
    folders = [made(tmp_path, n, n + 1) for n in (1, 5, 10)]
    for age, folder in enumerate(folders):
        os.utime(folder / "manifest.json", (1000 - age, 1000 - age))
    assert newest(tmp_path, 2) == folders[:2]
    assert traces_of(folders[:2]) == ["trace-1", "trace-2", "trace-5", "trace-6"]
    again = replayed(folders[:2], {"trace-2"})
    assert [one.traces[0] for one in again()][:1] == ["trace-1"]
    assert sorted(one.traces[0] for one in again()) == ["trace-1", "trace-5", "trace-6"]
    assert list(again()) == list(again())


def test_a_dataset_is_no_newer_for_what_was_forgotten(tmp_path: Path) -> None:
    folders = [made(tmp_path, n, n + 1) for n in (1, 5, 10)]
    for age, folder in enumerate(folders):
        os.utime(folder / "manifest.json", (1000 - age, 1000 - age))
    assert forget_in(tmp_path, ["trace-10"]) == 1
    assert newest(tmp_path, 3) == folders


def test_a_dataset_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert made(tmp_path, 1, 2).stat().st_mode & 0o777 == 0o700


def test_what_a_killed_night_left_is_forgotten_too_and_never_under_one_at_work(tmp_path: Path) -> None:
    folder = made(tmp_path, 1, 2)
    left = tmp_path / f"{COLLECTED}x"
    left.mkdir()
    (left / "kept.jsonl").write_bytes((folder / "train.jsonl").read_bytes())
    working = tmp_path / f"{COLLECTED}y"
    with alone(tmp_path):
        assert not left.exists()
        working.mkdir()
        assert forget_in(tmp_path, ["trace-1"]) == 1
        assert working.exists()
        with pytest.raises(DatasetError, match="another night is at work"), alone(tmp_path):
            pass
    assert forget_in(tmp_path, ["trace-9"]) == 0
    assert not working.exists()


def test_the_lock_goes_with_a_night_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from distill.dataset import alone\n"
        "with alone(Path(sys.argv[1])): print('at work', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DatasetError), alone(tmp_path):
            pass
        other.kill()
    with alone(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"traces": "\xff"}', b'{"traces": null}', b"[" * 100_000, b"{"])
def test_a_manifest_that_somebody_spoilt_is_told_and_hinders_no_forgetting(tmp_path: Path, content: bytes) -> None:
    spoilt, whole = made(tmp_path, 1, 2), made(tmp_path, 1, 4)
    (spoilt / "manifest.json").write_bytes(content)
    with (spoilt / "train.jsonl").open("ab") as file:
        file.write(b'{"conversation":"\xff","traces":["trace-7"]}\n')
    with pytest.raises(DatasetError, match=r"manifest\.json cannot be read"):
        traces_of([spoilt])
    assert traces_where(tmp_path, lambda origin: "trace-2" in origin.traces) == ["trace-2"]
    assert forget_in(tmp_path, ["trace-1"]) == 3  # and the line that nobody can read
    assert (traces_in(spoilt), traces_in(whole)) == (["trace-2"], ["trace-4"])
