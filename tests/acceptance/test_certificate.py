"""A student earns its certificate: a day with the teacher, its drafts afterwards, and a day on which it serves.

Over real sockets, with the real store and the real command; the two models are scripted, so that it is known which
drafts are worse.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.scripted import Act, Play
from tests.gateway.running import READ_FILE, Running, Script, environment

pytestmark = pytest.mark.gateways


def question(number: int) -> tuple[str, bool]:
    """A question, and whether it is a hard one: one in four is."""
    hard = number % 4 == 3
    return f"{'Who uses' if hard else 'Where is'} `thing_{number}` {'and why' if hard else 'defined'}?", hard


def _asked(body: dict[str, Any]) -> int:
    return int(body["messages"][-1]["content"].split("thing_")[1].split("`")[0])


def _call(path: str, logprob: float) -> Act:
    return Act(calls=[("read_file", json.dumps({"path": path}))], logprob=logprob, finish="tool_calls")


def teacher(body: dict[str, Any]) -> Act:
    return _call(f"src/thing_{_asked(body)}.py", -0.01)


def student(body: dict[str, Any]) -> Act:
    """Right on what is easy; of what is hard half is wrong, and it is not sure of any."""
    number = _asked(body)
    _, hard = question(number)
    chance = random.Random(number)
    wrong = hard and chance.random() < 0.5
    return _call(f"{'lib' if wrong else 'src'}/thing_{number}.py", -0.9 if hard else -0.01 - 0.02 * chance.random())


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Running]:
    with school_of(tmp_path, student) as gateway:
        yield gateway


@contextmanager
def school_of(tmp_path: Path, play: Play) -> Iterator[Running]:
    with (
        Script(play, model="small") as small,
        Script(teacher, model="big") as big,
        Running(tmp_path, small.url, big.url, router__uncertified="shadow") as gateway,
    ):
        gateway.wait_ready()
        (tmp_path / "nightschool.toml").write_text(
            f'[gateway]\nport = {gateway.port}\n[student]\nurl = "{small.url}"\n[teacher]\nurl = "{big.url}"\n'
        )
        yield gateway


def ask(gateway: Running, number: int) -> dict[str, str]:
    status, headers, _ = gateway.chat(question(number)[0], body={"tools": [READ_FILE], "temperature": 0})
    assert status == 200
    return headers


def learnt(gateway: Running) -> str:
    return command(gateway, "router", "learn", "--at-once", "16")


def command(gateway: Running, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *words, "--config", "nightschool.toml"],
        env=environment(gateway.home, COLUMNS="200"),
        cwd=gateway.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_student_serves_what_it_has_proven_and_nothing_else(school: Running) -> None:
    for number in range(40):
        assert ask(school, number)["x-nightschool-reason"] == "uncertified"
    assert "labels more are needed" in learnt(school)
    assert ask(school, 40)["x-nightschool-reason"] == "uncertified"
    _, status = school.admin("/admin/status", method="GET")
    assert status["router"]["certificate"] is None
    assert status["router"]["missing"]["call"]["more"] > 0
    assert "Certified: nothing; not call, about" in command(school, "status")

    for number in range(41, 700):
        ask(school, number)
    assert "call: certified from a score of" in learnt(school)
    certificate = school.admin("/admin/status", method="GET")[1]["router"]["certificate"]
    assert certificate["groups"]["call"]["errors"] <= 0.05 * certificate["groups"]["call"]["accepted"]

    served = {number: ask(school, number) for number in range(700, 780)}
    for number, headers in served.items():
        trace = school.trace(headers)
        by = headers["x-nightschool-served-by"]
        assert by == "teacher" or not question(number)[1]
        assert trace["decision"].get("certified", False) == (by == "student")
        if by == "student":
            assert trace["decision"]["certificate"] == certificate["name"]
            assert trace["decision"]["scores"]["confidence"] >= trace["decision"]["threshold"]
    ours = [headers for headers in served.values() if headers["x-nightschool-served-by"] == "student"]
    assert len(ours) > 30  # of 60 that it knows; it is certified for those that it is surest of
    told = command(school, "why", ours[0]["x-nightschool-trace"])
    assert f"The threshold is that of {certificate['name']}." in told
    assert "Computed once more it is the same." in told
    assert "not sure enough (doubtful)" in command(school, "why", served[703]["x-nightschool-trace"])


def test_a_certificate_does_not_outlive_what_it_is_about(school: Running) -> None:
    for number in range(500):
        ask(school, number)
    learnt(school)
    assert ask(school, 1000)["x-nightschool-served-by"] == "student"
    folder = school.home / "models" / "adapters" / "new"
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(b"other weights")
    assert school.admin("/admin/proposals", {"adapter": "new", "path": str(folder), "verdict": {}})[0] == 201
    assert ask(school, 1001)["x-nightschool-reason"] == "uncertified"
    assert "call: certified" in learnt(school)
    assert ask(school, 1004)["x-nightschool-served-by"] == "student"
    assert "Certified: call from" in command(school, "status")
    assert school.admin("/admin/rollback")[0] == 201
    assert ask(school, 1002)["x-nightschool-served-by"] == "student"


def test_a_certificate_that_the_world_breaks_is_withdrawn(tmp_path: Path) -> None:
    """Half of what is easy is wrong from one day on, and the student is as sure as before."""
    spoilt: list[bool] = []

    def drifting(body: dict[str, Any]) -> Act:
        number = _asked(body)
        return _call(f"lib/thing_{number}.py", -0.01) if spoilt and number % 2 else student(body)

    with school_of(tmp_path, drifting) as school:
        for number in range(500):
            ask(school, number)
        assert "call: certified" in learnt(school)
        assert ask(school, 1000)["x-nightschool-served-by"] == "student"
        spoilt.append(True)
        for number in range(1001, 1200):
            ask(school, number)
        assert "is broken: call:" in learnt(school)
        assert ask(school, 2000)["x-nightschool-reason"] == "uncertified"
        assert "were worse" in school.admin("/admin/status", method="GET")[1]["router"]["broken"]


def test_what_cannot_be_true_is_refused(school: Running) -> None:
    scope = {"base": "", "adapter": "", "template": "", "teacher": "big", "scorer": "rule-1"}
    tested = {"threshold": 0.5, "accepted": 100, "errors": 40, "labels": 200, "p_value": 0.01}
    certificate = {"scope": scope, "groups": {"call": tested}, "alpha": {"call": 0.05}, "delta": 0.05}
    status, answer = school.admin("/admin/router", {"adapter": "", "certificate": certificate})
    assert status == 400
    assert "40 errors of 100" in answer["error"]["message"]
    sure = {**certificate, "delta": 2.0}
    assert school.admin("/admin/router", {"adapter": "", "certificate": sure})[0] == 400
    other = {**certificate, "scope": {**scope, "scorer": "gates-0"}, "groups": {}}
    assert school.admin("/admin/router", {"adapter": "", "certificate": other})[0] == 409
    holed = {"names": ["a"], "mean": [], "scale": [], "weight": [], "bias": 0.0}
    assert school.admin("/admin/router", {"adapter": "", "gates": {"pre": holed, "post": holed}})[0] == 400
    assert not (school.home / "models" / "router.json").exists()
