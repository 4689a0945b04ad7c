"""A day that goes on asking beside a whole night, and beside one that is killed while it holds the memory."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.evening import SMALL, begin_night, evening_of, whole_night
from tests.gateway.running import Running

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(600)]

_STUDENT, _EXPERT, _NIGHT, _BUDGET = 1_000_000_000, 100_000_000, 2_500_000_000, 3_000_000_000
_LONGEST = 60.0  # seconds for an answer, a model's start included
_BACK = 60.0  # seconds after which the day has to be as before


class Answered(NamedTuple):
    at: float
    seconds: float
    model: str
    status: int
    code: str


class Asking:
    """A request every second, to either model and to the gateway in turn, and the memory that is counted meanwhile."""

    def __init__(self, gateway: Running) -> None:
        self.gateway = gateway
        self.answers: list[Answered] = []
        self.most = 0  # bytes
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._ask, self._watch)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_LONGEST + 5)
            assert not thread.is_alive(), "a request hangs"

    def _ask(self) -> None:
        models = ("teacher", "nightschool", "student")
        for number in range(10_000):
            start = time.monotonic()
            model = models[number % len(models)]
            status, _, answer = self.gateway.chat(f"What is {number} plus 1?", model, body={"max_tokens": 16})
            code = str((answer.get("error") or {}).get("code") or "")
            self.answers.append(Answered(start, time.monotonic() - start, model, status, code))
            if self._over.wait(max(0.0, start + 1.0 - time.monotonic())):
                return

    def _watch(self) -> None:
        """What was lent both before and after a look at the processes was lent at it."""
        while not self._over.wait(0.2):
            before = leased(self.gateway)
            sizes = [_STUDENT if "engine" in one else _EXPERT for one in models_of(self.gateway)]
            self.most = max(self.most, sum(sizes) + min(before, leased(self.gateway)))

    def since(self, moment: float, model: str) -> list[Answered]:
        return [one for one in self.answers if one.at > moment and one.model == model]


def leased(gateway: Running) -> int:
    return int(gateway.admin("/admin/status", b"", "GET")[1]["leased_bytes"])


def models_of(gateway: Running) -> list[str]:
    """The command lines of the gateway's models."""
    command = ["pgrep", "-a", "-P", str(gateway.process.pid), "-f", "gateway.cli"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home: Path = tmp_path_factory.mktemp("home")
    budget = {
        "gateway__memory_bytes": _BUDGET,
        "student__memory_bytes": _STUDENT,
        "teacher__memory_bytes": _EXPERT,
    }
    with evening_of(home, **budget) as gateway:
        (home / "small.toml").write_text(SMALL)
        file = home / "nightschool.toml"
        file.write_text(file.read_text().replace("memory_bytes = 1000000000", f"memory_bytes = {_NIGHT}"))
        yield gateway


def test_the_day_goes_on_beside_a_whole_night(evening: Running) -> None:
    with Asking(evening) as asking:
        code, said = whole_night(evening, evening.home / "small.toml")
        assert code == 0, said
        ended = time.monotonic()
        until("the student answers", lambda: any(one.status == 200 for one in asking.since(ended, "student")), _BACK)
    assert {one.status for one in asking.answers if one.model != "student"} == {200}
    assert {one.code for one in asking.answers if one.status != 200} <= {"memory_leased"}
    assert any(one.status == 503 for one in asking.answers), "the night borrowed nothing"
    assert max(one.seconds for one in asking.answers) < _LONGEST
    assert _NIGHT < asking.most <= _BUDGET


def test_a_night_that_is_killed_while_it_holds_the_memory_gives_it_back(evening: Running) -> None:
    shutil.rmtree(evening.home / "data" / "nights")  # what was judged is not judged again
    for run in (evening.home / "models" / "runs").iterdir():
        (run / "result.json").unlink()  # there is something to train
    with Asking(evening) as asking:
        with begin_night(evening, evening.home / "small.toml") as night:
            until("memory is lent", lambda: leased(evening) > 0, 120)
            night.kill()
        killed = time.monotonic()
        until("the student answers", lambda: any(one.status == 200 for one in asking.since(killed, "student")), _BACK)
        assert leased(evening) == 0
    assert max(one.seconds for one in asking.answers) < _LONGEST
    assert asking.most <= _BUDGET


def test_training_waits_while_somebody_asks(evening: Running) -> None:
    file = evening.home / "nightschool.toml"
    file.write_text(
        file.read_text().replace("[night]", "[night]\ngives_way = 5").replace("epochs = 0.5", "epochs = 20")
    )
    with begin_night(evening, evening.home / "small.toml") as night:
        until("memory is lent", lambda: leased(evening) > 0, 120)
        with Asking(evening) as asking:
            lent = time.monotonic()
            until("somebody is turned away", lambda: any(one.status == 503 for one in asking.answers), 60)
            until("the student answers", lambda: any(one.status == 200 for one in asking.since(lent, "student")), 100)
            assert night.poll() is None
            assert leased(evening) == 0
        said = night.communicate(timeout=400)[1]
    assert night.returncode == 0, said
    assert "waiting at step" in said
    (steps,) = {len((run / "metrics.jsonl").read_text().splitlines()) for run in _newest_runs(evening)}
    assert steps > 20
    assert asking.most <= _BUDGET


def _newest_runs(gateway: Running) -> list[Path]:
    results = (gateway.home / "models" / "runs").glob("*/result.json")
    return [path.parent for path in sorted(results, key=lambda path: path.stat().st_mtime)[-1:]]


def until(what: str, so: object, seconds: float) -> None:
    assert callable(so)
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.1)
