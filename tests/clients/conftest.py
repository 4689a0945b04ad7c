"""One gateway for all clients, with two models behind it that do what the user's words say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.agent import Place
from tests.clients.loop import ARMS, Loop
from tests.gateway.running import Running, Script


@pytest.fixture(scope="session")
def student() -> Iterator[Script]:
    with Script(model="small") as script:
        yield script


@pytest.fixture(scope="session")
def teacher() -> Iterator[Script]:
    with Script(model="large") as script:
        yield script


@pytest.fixture(scope="session")
def gateway(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home: Path = tmp_path_factory.mktemp("home")
    with Running(home, student.url, teacher.url) as running:
        running.wait_ready()
        yield running


@pytest.fixture(params=sorted(ARMS))
def loop(request: pytest.FixtureRequest, gateway: Running, student: Script, teacher: Script) -> Loop:
    return Loop(gateway, student, teacher, request.param)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
