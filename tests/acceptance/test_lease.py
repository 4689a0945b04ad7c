"""A night that borrows memory and dies, beside a day that goes on asking: a real gateway with two local processes.

Both arms are the expert, which is small, and each is counted with 600 of 1000 bytes; so one runs at a time, or none.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.gateway.running import Running

pytestmark = pytest.mark.gateways

_BUDGET, _EACH = 1000, 600
_PERIOD = 0.5  # seconds between two requests
_LONGEST = 15.0  # seconds for an answer, a change of models included


@dataclass
class Answered:
    """When a request was sent and how long it took, in seconds."""

    at: float
    seconds: float
    status: int
    code: str | None
    retry_after: str | None


@dataclass
class Day:
    """Requests to either model in turn, and the processes that there really are."""

    gateway: Running
    lent: int = 0  # bytes that the gateway has said are the night's
    answers: list[Answered] = field(default_factory=list)
    most: int = 0  # bytes ever taken, the night's included
    _over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        models = ("student", "teacher", "nightschool")
        for number in range(10_000):
            start = time.monotonic()
            status, headers, answer = self.gateway.chat(f"What is {number} plus 1?", models[number % len(models)])
            code = (answer.get("error") or {}).get("code")
            told = Answered(start, time.monotonic() - start, status, code, headers.get("retry-after"))
            self.answers.append(told)
            if self._over.wait(max(0.0, start + _PERIOD - time.monotonic())):
                return

    def watch(self) -> None:
        while not self._over.wait(0.02):
            lent = self.lent  # before the look: what was given back meanwhile may be in use again
            self.most = max(self.most, _EACH * len(children(self.gateway)) + min(lent, self.lent))

    def since(self, moment: float) -> list[Answered]:
        return [answer for answer in self.answers if answer.at > moment]

    def end(self) -> None:
        self._over.set()


def children(gateway: Running) -> list[str]:
    command = ["pgrep", "-P", str(gateway.process.pid), "-f", "gateway.cli"]  # its models, not what writes traces
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    models = {f"{arm}__{key}": value for arm in ("student", "teacher") for key, value in _MODEL.items()}
    with Running(tmp_path, "", "", gateway__memory_bytes=_BUDGET, **models) as gateway:
        day = Day(gateway)
        threads = [threading.Thread(target=work) for work in (day.ask, day.watch)]
        for thread in threads:
            thread.start()
        yield day
        day.end()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "a request hangs"


_MODEL = {"model": "expert", "memory_bytes": _EACH, "start": 20}


def wait_for(what: str, true: object, seconds: float) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.05)


def test_a_lease_whose_holder_dies_ends_and_the_day_is_back(day: Day) -> None:
    wait_for("both models answer in turn", lambda: len([a for a in day.answers if a.status == 200]) >= 4, 30)
    status, lease = day.gateway.admin("/admin/lease", {"bytes": 500, "seconds": 2})
    day.lent = lease["bytes"]
    granted = time.monotonic()
    assert (status, children(day.gateway)) == (201, [])  # once it is granted, the memory is there
    for _ in range(3):  # the night is well, and renews
        time.sleep(1)
        renewed = time.monotonic()
        assert day.gateway.admin(f"/admin/lease/{lease['id']}")[0] == 201
    time.sleep(renewed + 1.9 - time.monotonic())
    during = day.since(granted)
    day.lent = 0  # a moment before the gateway may lend it on
    assert len(during) >= 6
    assert {(answer.status, answer.code) for answer in during} == {(503, "memory_leased")}
    assert all(int(answer.retry_after or 0) >= 1 for answer in during)
    assert max(answer.seconds for answer in during) < 2

    ended = renewed + 2
    wait_for("an answer", lambda: any(answer.status == 200 for answer in day.since(ended - 0.2)), _LONGEST)
    wait_for("answers of both", lambda: len([a for a in day.since(ended) if a.status == 200]) >= 4, 30)
    assert day.gateway.admin(f"/admin/lease/{lease['id']}")[0] == 404
    assert day.gateway.admin("/admin/status", b"", "GET")[1]["leased_bytes"] == 0
    assert max(answer.seconds for answer in day.answers) < _LONGEST
    assert 0 < day.most <= _BUDGET


def test_beside_a_small_lease_the_day_goes_on(day: Day) -> None:
    wait_for("an answer", lambda: any(answer.status == 200 for answer in day.answers), 30)
    _, lease = day.gateway.admin("/admin/lease", {"bytes": 400, "seconds": 3600})
    day.lent = lease["bytes"]
    granted = time.monotonic()
    wait_for("answers", lambda: len([a for a in day.since(granted) if a.status == 200]) >= 4, 30)
    assert {answer.status for answer in day.since(granted)} == {200}
    day.lent = 0
    assert day.gateway.admin(f"/admin/lease/{lease['id']}", b"", "DELETE")[0] == 200
    assert 0 < day.most <= _BUDGET
