"""The operator's handles over the admin calls: a pin that nothing gets past and no restart loosens, and ways back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

pytestmark = pytest.mark.gateways

CANARY = {"canary__on": True, "canary__seconds": 0, "canary__quiet": 600}


@pytest.fixture
def small() -> Iterator[Script]:
    with Script(Act(text="student"), model="small") as server:
        yield server


@pytest.fixture
def big() -> Iterator[Script]:
    with Script(Act(text="teacher"), model="big") as server:
        yield server


@pytest.fixture
def gateway(tmp_path: Path, small: Script, big: Script) -> Iterator[Running]:
    with Running(tmp_path, small.url, big.url) as running:
        running.wait_ready()
        yield running


def adapter(home: Path, name: str, passed: bool | None = True) -> dict[str, Any]:
    """An adapter's folder, with a card unless `passed` is None; the proposal of it."""
    folder = home / "models" / "adapters" / name
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(name.encode())
    if passed is not None:
        card = {"name": name, "base": "small", "verdict": {"passed": passed, "reasons": []}}
        (folder / "card.json").write_text(json.dumps(card))
    return {"adapter": name, "path": str(folder), "verdict": {"passed": True}}


def status(gateway: Running) -> dict[str, Any]:
    told: dict[str, Any] = gateway.admin("/admin/status", method="GET")[1]
    return told


def live(gateway: Running) -> str:
    return str((status(gateway)["live"] or {}).get("adapter", ""))


def refused(answer: tuple[int, Any], code: int = 409) -> str:
    assert answer[0] == code, answer
    return str(answer[1]["error"]["message"])


def answers(gateway: Running, script: Script) -> str:
    """Which adapter is asked for an answer."""
    gateway.chat()
    return str(script.asked[-1].body["model"])


def test_a_pinned_adapter_serves_and_nothing_replaces_it(gateway: Running, small: Script) -> None:
    home = gateway.home
    gateway.admin("/admin/proposals", adapter(home, "one"))
    adapter(home, "two")
    code, told = gateway.admin("/admin/pin", {"adapter": "two"})
    assert (code, told["pin"]["adapter"], told["live"]["adapter"]) == (201, "two", "two")
    assert answers(gateway, small) == "two"
    proposal = adapter(home, "three")
    assert "while two is pinned: `nightschool pin --off`" in refused(gateway.admin("/admin/proposals", proposal))
    assert "three" not in status(gateway)["adapters"]
    again = {**proposal, "adapter": "two", "path": str(home / "models/adapters/two")}
    assert gateway.admin("/admin/proposals", again)[1]["live"]["adapter"] == "two"
    assert "is pinned" in refused(gateway.admin("/admin/rollback"))
    assert "is pinned" in refused(gateway.admin("/admin/rollback", {"adapter": "one"}))
    arms = [{"name": "a"}, {"name": "b", "adapter": "one"}]
    assert "is pinned" in refused(gateway.admin("/admin/experiments", {"name": "which", "arms": arms}))
    assert answers(gateway, small) == "two"
    code, told = gateway.admin("/admin/pin", method="DELETE")
    assert (code, told["pin"]["adapter"], told["live"]["adapter"]) == (200, "two", "two")
    assert "Nothing is pinned" in refused(gateway.admin("/admin/pin", method="DELETE"))
    assert gateway.admin("/admin/rollback")[1]["live"]["adapter"] == "one"


@pytest.mark.parametrize("name", ["two", "base"])
def test_a_pin_outlives_restarts(tmp_path: Path, small: Script, big: Script, name: str) -> None:
    for first in (True, False, False):
        with Running(tmp_path, small.url, big.url) as gateway:
            gateway.wait_ready()
            if first:
                gateway.admin("/admin/proposals", adapter(tmp_path, "one"))
                adapter(tmp_path, "two")
                assert gateway.admin("/admin/pin", {"adapter": name})[0] == 201
            served = "" if name == "base" else name
            assert (status(gateway)["pin"]["adapter"], live(gateway)) == (served, served)
            assert gateway.get("/health")["student"]["model"] == (served or "small")
            one = {"adapter": "one", "path": str(tmp_path / "models/adapters/one"), "verdict": {}}
            told = refused(gateway.admin("/admin/proposals", one))
            assert f"while {served or 'the base'} is pinned" in told
    assert (tmp_path / "models" / "live.json").exists() == bool(served)


def test_what_serves_is_held_where_the_pin_names_another(tmp_path: Path, small: Script, big: Script) -> None:
    with Running(tmp_path, small.url, big.url) as gateway:
        gateway.wait_ready()
        adapter(tmp_path, "one")
        gateway.admin("/admin/pin", {"adapter": "one"})
    (tmp_path / "models" / "live.json").unlink()
    with Running(tmp_path, small.url, big.url) as gateway:
        gateway.wait_ready()
        assert (status(gateway)["pin"]["adapter"], live(gateway)) == ("", "")
        assert "another adapter is pinned than serves" in gateway.log.read_text()


def test_no_canary_begins_and_one_that_runs_ends_by_a_pin(tmp_path: Path, small: Script, big: Script) -> None:
    with Running(tmp_path, small.url, big.url, **CANARY) as gateway:
        gateway.wait_ready()
        adapter(tmp_path, "one")
        assert gateway.admin("/admin/proposals", adapter(tmp_path, "two"))[1]["canary"] is not None
        assert "pin it" in refused(gateway.admin("/admin/rollback", {"adapter": "two"}))
        gateway.admin("/admin/pin", {"adapter": "one"})
        found = gateway.admin("/admin/experiments", method="GET")[1]["experiments"]
        assert [(one["state"], one["why"]) for one in found] == [("given_up", "somebody chose one")]
        two = {"adapter": "two", "path": str(tmp_path / "models/adapters/two"), "verdict": {}}
        assert "one is pinned" in refused(gateway.admin("/admin/proposals", two))
        gateway.admin("/admin/pin", method="DELETE")
        assert gateway.admin("/admin/proposals", two)[1]["canary"] is not None  # it was not its fault
        gateway.admin("/admin/pin", {"adapter": "two"})
        found = gateway.admin("/admin/experiments", method="GET")[1]["experiments"]
        assert [one["state"] for one in found] == ["promoted"]
        assert live(gateway) == "two"


def test_no_pin_while_an_experiment_changes_the_adapter(gateway: Running) -> None:
    adapter(gateway.home, "one")
    arms = [{"name": "a"}, {"name": "b", "adapter": "one"}]
    assert gateway.admin("/admin/experiments", {"name": "which", "arms": arms})[0] == 201
    assert "stop it first" in refused(gateway.admin("/admin/pin", {"adapter": "base"}))
    gateway.admin("/admin/experiments/which", method="DELETE")
    assert gateway.admin("/admin/pin", {"adapter": "base"})[0] == 201


def test_an_earlier_adapter_serves_again_and_the_one_that_was_left_does_not_come_back(
    gateway: Running, small: Script
) -> None:
    for name in ("one", "two", "three"):
        gateway.admin("/admin/proposals", adapter(gateway.home, name))
    code, told = gateway.admin("/admin/rollback", {"adapter": "one"})
    assert (code, told["live"]["adapter"], told["live"]["previous"], told["gone"]) == (201, "one", None, "")
    assert answers(gateway, small) == "one"
    assert gateway.admin("/admin/rollback")[1]["live"] is None
    gateway.admin("/admin/rollback", {"adapter": "two"})
    assert gateway.admin("/admin/rollback", {"adapter": "base"})[1]["live"] is None
    assert answers(gateway, small) == "small"


@pytest.mark.parametrize("passed", [False, None])
def test_what_did_not_pass_serves_by_force_only(gateway: Running, passed: bool | None) -> None:
    adapter(gateway.home, "one", passed)
    assert "--force" in refused(gateway.admin("/admin/rollback", {"adapter": "one"}))
    assert "--force" in refused(gateway.admin("/admin/pin", {"adapter": "one"}))
    assert live(gateway) == ""
    assert gateway.admin("/admin/rollback", {"adapter": "one", "force": True})[1]["live"]["adapter"] == "one"
    assert gateway.admin("/admin/pin", {"adapter": "one"})[0] == 201  # it serves already


@pytest.mark.parametrize("name", ["none", "..", "a/b", "a\0b", "x" * 300])
def test_what_is_no_adapter_is_told(gateway: Running, name: str) -> None:
    for path in ("/admin/rollback", "/admin/pin"):
        assert "There is no adapter" in refused(gateway.admin(path, {"adapter": name}), 404)


def test_a_way_back_whose_folders_are_gone_leads_on(gateway: Running, small: Script) -> None:
    for name in ("one", "two", "three"):
        gateway.admin("/admin/proposals", adapter(gateway.home, name))
    shutil.rmtree(gateway.home / "models" / "adapters" / "three")  # the live pointer names nothing
    assert gateway.admin("/admin/rollback")[1]["live"]["adapter"] == "two"
    gateway.admin("/admin/proposals", adapter(gateway.home, "four"))
    shutil.rmtree(gateway.home / "models" / "adapters" / "two")
    code, told = gateway.admin("/admin/rollback")
    assert (code, told["live"], told["gone"]) == (201, None, "two")
    assert answers(gateway, small) == "small"


def test_a_rollback_needs_no_body(gateway: Running) -> None:
    gateway.admin("/admin/proposals", adapter(gateway.home, "one"))
    key = (gateway.home / "data" / "admin.key").read_text()
    code, _, told = gateway.call("/admin/rollback", b"", headers={"authorization": f"Bearer {key}"})
    assert (code, json.loads(told)["live"]) == (201, None)
