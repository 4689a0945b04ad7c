"""Adapters: from candidate to live and back, over the admin calls, with the live pointer on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.backends.scripted import Act
from gateway.processes.lease import Leases
from tests.gateway.running import Running, Script


@pytest.fixture
def school(tmp_path: Path) -> Iterator[tuple[Running, Script]]:
    with (
        Script(Act(text="student"), model="small") as student,
        Script(Act(text="teacher")) as teacher,
        Running(tmp_path, student.url, teacher.url) as gateway,
    ):
        gateway.wait_ready()
        yield gateway, student


def adapter(home: Path, name: str) -> dict[str, str]:
    folder = home / "models" / "adapters" / name
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(name.encode())
    return {"name": name, "path": str(folder)}


def test_a_candidate_can_be_asked_by_its_name(school: tuple[Running, Script]) -> None:
    gateway, student = school
    made = adapter(gateway.home, "small-1")
    assert gateway.chat(model="small-1")[0] == 404
    assert gateway.admin("/admin/adapters", made) == (201, {"name": "small-1"})
    status, headers, _ = gateway.chat(model="small-1")
    assert (status, headers["x-nightschool-served-by"]) == (200, "student")
    assert student.asked[-1].body["model"] == "small-1"
    assert {"id": "small-1", "parent": "small"}.items() <= gateway.get("/v1/models")["data"][-1].items()
    assert gateway.admin("/admin/adapters/small-1", method="DELETE")[0] == 200
    assert gateway.chat(model="small-1")[0] == 404


def test_a_proposal_serves_from_then_on_survives_a_restart_and_can_be_rolled_back(tmp_path: Path) -> None:
    pointer = tmp_path / "models" / "live.json"
    with Script(Act(text="student"), model="small") as student:
        with Running(tmp_path, student.url, student.url) as gateway:
            gateway.wait_ready()
            for name in ("small-1", "small-2"):
                proposal = {"adapter": name, "path": adapter(tmp_path, name)["path"], "verdict": {}}
                status, answer = gateway.admin("/admin/proposals", proposal)
                assert (status, answer["live"]["adapter"]) == (201, name)
                gateway.chat()
                assert student.asked[-1].body["model"] == name
        live = msgspec.json.decode(pointer.read_bytes())
        assert (live["adapter"], live["previous"]["adapter"]) == ("small-2", "small-1")
        assert set(live) == {"adapter", "path", "digest", "since", "previous"}
        with Running(tmp_path, student.url, student.url) as gateway:
            gateway.wait_ready()
            assert gateway.get("/health")["student"]["model"] == "small-2"
            assert gateway.admin("/admin/rollback")[1]["live"]["adapter"] == "small-1"
            gateway.chat()
            assert student.asked[-1].body["model"] == "small-1"
            assert gateway.admin("/admin/rollback")[1]["live"] is None
            assert not pointer.exists()
            assert gateway.admin("/admin/rollback")[0] == 409


def test_what_may_not_serve_is_refused(
    school: tuple[Running, Script], tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway, _ = school
    made = adapter(gateway.home, "small-1")
    failed = {"adapter": "small-1", "path": made["path"], "verdict": {"passed": False}}
    assert gateway.admin("/admin/proposals", failed)[0] == 409
    elsewhere = adapter(tmp_path_factory.mktemp("elsewhere"), "small-2")
    assert gateway.admin("/admin/adapters", elsewhere)[0] == 400
    assert gateway.admin("/admin/adapters", {"name": "teacher", "path": made["path"]})[0] == 409
    assert gateway.admin("/admin/adapters", {"name": 3})[0] == 400
    for unreadable in ("a\0b", str(gateway.home / "models" / ("x" * 300))):
        status, told = gateway.admin("/admin/adapters", {"name": "small-2", "path": unreadable})
        assert (status, told["error"]["param"]) == (400, "path")
    assert gateway.get("/health")["student"]["model"] == "small"


def test_leases_are_granted_renewed_and_given_back(school: tuple[Running, Script]) -> None:
    gateway, _ = school
    status, lease = gateway.admin("/admin/lease", {"bytes": 1000, "seconds": 30})
    assert status == 201
    assert lease["expires"] > time.time() + 20
    assert gateway.admin("/admin/status", method="GET")[1]["leased_bytes"] == 1000
    assert gateway.admin(f"/admin/lease/{lease['id']}")[0] in (200, 201)
    assert gateway.admin(f"/admin/lease/{lease['id']}", method="DELETE")[0] == 200
    assert gateway.admin("/admin/status", method="GET")[1]["leased_bytes"] == 0
    assert gateway.admin("/admin/lease", {"bytes": -1, "seconds": 30})[0] == 400


def test_a_lease_that_is_not_renewed_ends() -> None:
    now = 0.0
    leases = Leases(lambda: now)
    lost, kept = leases.promise(10, 5), leases.promise(20, 5)
    now = 100.0  # while models made room
    assert (leases.held(), leases.lent()) == (30, 0)
    leases.renew(lost.id)
    leases.renew(kept.id)
    now = 104.0
    leases.renew(kept.id)
    now = 106.0
    assert (leases.held(), leases.lent()) == (20, 20)


def test_an_adapter_that_cannot_be_loaded_does_not_serve_and_is_told_of(tmp_path: Path) -> None:
    """Its folder is gone, or it is another base's: the base serves, and the next proposal is held beside that."""
    made = adapter(tmp_path, "small-1")
    with Script(Act(text="student"), model="small") as student:
        with Running(tmp_path, student.url, student.url) as gateway:
            gateway.wait_ready()
            gateway.admin("/admin/proposals", {"adapter": "small-1", "path": made["path"], "verdict": {}})
            assert gateway.admin("/admin/status", method="GET")[1]["not_loaded"] is None
        student.server.refuses = "it is for another base"
        with Running(tmp_path, student.url, student.url) as gateway:
            gateway.wait_ready()
            told = gateway.admin("/admin/status", method="GET")[1]
            assert (told["live"], told["not_loaded"]["adapter"]) == (None, "small-1")
            assert "another base" in told["not_loaded"]["reason"]
            student.server.refuses = ""
            other = {"adapter": "small-2", "path": adapter(tmp_path, "small-2")["path"], "verdict": {"beside": ""}}
            assert gateway.admin("/admin/proposals", other)[1]["live"]["adapter"] == "small-2"


def test_a_home_that_has_moved_finds_its_adapter(tmp_path: Path) -> None:
    """As on a disk that another machine mounts elsewhere: the pointer says where it was."""
    with Script(Act(text="student"), model="small") as student:
        home = tmp_path / "here"
        made = adapter(home, "small-1")
        with Running(home, student.url, student.url) as gateway:
            gateway.wait_ready()
            gateway.admin("/admin/proposals", {"adapter": "small-1", "path": made["path"], "verdict": {}})
        there = home.rename(tmp_path / "there")
        with Running(there, student.url, student.url) as gateway:
            gateway.wait_ready()
            told = gateway.admin("/admin/status", method="GET")[1]
            assert told["live"]["adapter"] == "small-1"
            assert told["adapters"] == {"small-1": str(there / "models" / "adapters" / "small-1")}
