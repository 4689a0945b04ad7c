"""One gateway for a whole module of tests, with a scripted student and a scripted teacher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script


@pytest.fixture(scope="module")
def student() -> Iterator[Script]:
    with Script(Act(text="student"), model="small") as script:
        yield script


@pytest.fixture(scope="module")
def teacher() -> Iterator[Script]:
    with Script(Act(text="teacher"), model="large") as script:
        yield script


@pytest.fixture(scope="module")
def gateway(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home: Path = tmp_path_factory.mktemp("home")
    settings = {
        "gateway__hold_headers": 0.6,
        "gateway__heartbeat": 0.3,
        "teacher__attempts": 2,
        "teacher__first_byte": 2,
    }
    limits = {"student__first_byte": 2, "student__silence": 1, "teacher__silence": 1}
    limits |= {"student__failures": 0, "teacher__failures": 0}  # one test's faults are no other's business
    with Running(home, student.url, teacher.url, **settings, **limits) as running:
        running.wait_ready()
        yield running


@pytest.fixture(autouse=True)
def usual_answers(request: pytest.FixtureRequest) -> None:
    """Every test starts with the two models answering plainly."""
    for name in ("student", "teacher"):
        if name in request.fixturenames:
            request.getfixturevalue(name).play(Act(text=name))
