"""The operator's commands, with a gateway and without: what serves, which adapters there are, what changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script, free_port, nightschool

pytestmark = pytest.mark.gateways

SHARE = {"hits": 57, "of": 66, "share": 0.86, "low": 0.8, "high": 0.9}
SCORE = {"items": 66, "exact_calls": SHARE, "right_answers": {**SHARE, "hits": 40}}


@pytest.fixture
def small() -> Iterator[Script]:
    with Script(Act(text="student"), model="small") as server:
        yield server


@pytest.fixture
def gateway(tmp_path: Path, small: Script) -> Iterator[Running]:
    with Script(Act(text="teacher")) as big, Running(tmp_path, small.url, big.url) as running:
        running.wait_ready()
        yield running


def adapter(home: Path, name: str, passed: bool = True) -> dict[str, Any]:
    folder = home / "models" / "adapters" / name
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(name.encode())
    verdict = {"passed": passed, "reasons": [] if passed else ["fewer right answers"], "adapter": SCORE, "base": SCORE}
    card = {"name": name, "base": "small", "dataset": "abc", "run": "def", "verdict": verdict}
    (folder / "card.json").write_text(json.dumps(card))
    return {"adapter": name, "path": str(folder), "verdict": {"passed": True}}


def command(home: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return nightschool(*arguments, home=home, NIGHTSCHOOL_GATEWAY_PORT=str(port), COLUMNS="200")


def done(gateway: Running, *arguments: str) -> str:
    found = command(gateway.home, gateway.port, *arguments)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout.strip()


def refused(gateway: Running, *arguments: str) -> str:
    found = command(gateway.home, gateway.port, *arguments)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    return found.stderr.strip()


def listed(home: Path, port: int) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What `adapters list --json` tells, and each adapter's roles."""
    found = command(home, port, "adapters", "list", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    told = json.loads(found.stdout)
    roles = ("live", "previous", "pinned", "canary", "loaded")
    return told, {one["name"]: [role for role in roles if one[role]] for one in told["adapters"]}


def test_rollback_and_pin_say_what_serves(gateway: Running, small: Script) -> None:
    for name in ("one", "two", "three"):
        gateway.admin("/admin/proposals", adapter(gateway.home, name))
    adapter(gateway.home, "four", passed=False)
    assert done(gateway, "rollback") == "Now serves: two"
    assert done(gateway, "rollback", "one") == "Now serves: one"
    assert "four is not known to have passed" in refused(gateway, "rollback", "four")
    assert done(gateway, "rollback", "four", "--force") == "Now serves: four"
    assert "There is no adapter 'five'" in refused(gateway, "rollback", "five")
    assert done(gateway, "pin", "one").startswith("Now serves: one, and nothing replaces it")
    assert refused(gateway, "rollback").endswith("while one is pinned: `nightschool pin --off` first.")
    assert "Pinned: one since 20" in done(gateway, "status")
    assert done(gateway, "pin", "base").startswith("Now serves: the base")
    assert "Pinned: the base since 20" in done(gateway, "status")
    assert done(gateway, "pin", "--off") == "Not pinned any more: the base. Now serves: the base"
    assert "Nothing is pinned." in refused(gateway, "pin", "--off")
    for wrong in (["pin"], ["pin", "one", "--off"]):
        assert "say which adapter" in refused(gateway, *wrong)
    gateway.chat()
    assert small.asked[-1].body["model"] == "small"


def test_what_was_rolled_back_is_not_proposed_again_at_once(gateway: Running) -> None:
    one, two = adapter(gateway.home, "one"), adapter(gateway.home, "two")
    assert gateway.admin("/admin/proposals", one)[0] == 201
    assert done(gateway, "rollback") == "Now serves: the base"
    status, told = gateway.admin("/admin/proposals", one)
    assert status == 409
    assert "one was rolled back (somebody rolled it back): try again in 24 hours" in told["error"]["message"]
    assert gateway.admin("/admin/proposals", two)[0] == 201
    assert done(gateway, "rollback", "one") == "Now serves: one"  # by name it may come back
    assert gateway.admin("/admin/proposals", two)[0] == 409


def test_an_adapter_that_was_judged_beside_another_does_not_follow_this_one(gateway: Running) -> None:
    one, two, three = (adapter(gateway.home, name) for name in ("one", "two", "three"))
    assert gateway.admin("/admin/proposals", {**one, "verdict": {"passed": True, "beside": ""}})[0] == 201
    assert gateway.admin("/admin/proposals", {**two, "verdict": {"passed": True, "beside": "one"}})[0] == 201
    status, told = gateway.admin("/admin/proposals", {**three, "verdict": {"passed": True, "beside": "one"}})
    assert status == 409
    assert "three was judged beside one, and two serves now" in told["error"]["message"]


def test_without_a_gateway_nothing_is_changed_and_that_is_said(tmp_path: Path) -> None:
    port = free_port()
    for arguments in (["rollback"], ["pin", "base"], ["pin", "--off"]):
        found = command(tmp_path, port, *arguments)
        assert found.returncode == 1
        assert "no gateway runs at" in found.stderr
        assert "nightschool serve" in found.stderr


def test_the_list_tells_what_each_adapter_is(gateway: Running) -> None:
    home = gateway.home
    gateway.admin("/admin/proposals", adapter(home, "one"))
    gateway.admin("/admin/proposals", adapter(home, "two"))
    adapter(home, "three", passed=False)
    gateway.admin("/admin/pin", {"adapter": "two"})
    told, roles = listed(home, gateway.port)
    assert (told["up"], told["note"], told["live"], told["pinned"]) == (True, "", "two", "two")
    assert roles == {"one": ["previous", "loaded"], "two": ["live", "pinned", "loaded"], "three": []}
    three = next(one for one in told["adapters"] if one["name"] == "three")
    assert (three["base"], three["dataset"], three["run"], three["passed"]) == ("small", "abc", "def", False)
    assert (three["exact_calls"], three["right_answers"]) == ({"hits": 57, "of": 66}, {"hits": 40, "of": 66})
    shown = done(gateway, "adapters", "list")
    for words in ("did not pass: fewer right answers", "86% (57 of 66)", "live, pinned, loaded", "two is pinned"):
        assert words in shown


def test_a_canary_is_listed_and_rolled_back(tmp_path: Path, small: Script) -> None:
    with Script(Act(text="teacher")) as big, Running(tmp_path, small.url, big.url, canary__on=True) as gateway:
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "one"))
        assert listed(tmp_path, gateway.port)[1] == {"one": ["canary", "loaded"]}
        assert done(gateway, "rollback") == "The canary one is over. Now serves: the base"


def test_missing_folders_are_told_with_a_gateway_and_without(tmp_path: Path, small: Script) -> None:
    with Script(Act(text="teacher")) as big:
        with Running(tmp_path, small.url, big.url) as gateway:
            gateway.wait_ready()
            for name in ("one", "two"):
                gateway.admin("/admin/proposals", adapter(tmp_path, name))
        (tmp_path / "models" / "adapters" / "odd").mkdir()
        shutil.rmtree(tmp_path / "models" / "adapters" / "two")
        told, roles = listed(tmp_path, gateway.port)
        assert (told["up"], roles["two"], roles["one"]) == (False, ["live"], ["previous"])
        troubles = {one["name"]: one["troubles"] for one in told["adapters"]}
        assert troubles["two"] == ["its folder is gone"]
        assert len(troubles["odd"]) == 2
        assert told["adapters"][0]["loaded"] is None
        shutil.rmtree(tmp_path / "models" / "adapters" / "one")
        with Running(tmp_path, small.url, big.url) as again:
            again.wait_ready()
            assert listed(tmp_path, again.port)[1]["two"][0] == "live"
            assert "two: its folder is gone" in done(again, "adapters", "list")
            told_gone = "one, which served before, is gone: its folder is not there. Now serves: the base"
            assert done(again, "rollback") == told_gone


@pytest.mark.parametrize("content", ["{", "[]", '{"adapter": "x", "previous": 3}'])
def test_damaged_files_do_not_hide_the_list(tmp_path: Path, content: str) -> None:
    adapter(tmp_path, "one")
    for name in ("live.json", "pin.json"):
        (tmp_path / "models" / name).write_text(content)
    told, roles = listed(tmp_path, free_port())
    assert "one" in roles
    assert ("pin.json cannot be read" in told["note"]) == ("x" not in content)
    assert command(tmp_path, free_port(), "adapters", "list").returncode == 0


def test_learning_is_paused_and_resumed(tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        found = command(tmp_path, port, *arguments)
        return (found.stdout or found.stderr).strip()

    port = free_port()
    assert told("resume-learning") == "learning was not paused"
    assert told("pause-learning") == "learning is paused: `nightschool resume-learning` ends that"
    assert "Nights: learning is paused" in told("status")
    assert json.loads(told("status", "--json"))["paused"].startswith("learning is paused")
    assert told("pause-learning", "--until", "2199-12-24").startswith("learning is paused until 2199-12-24 00:00")
    assert "learning is paused until 20" in told("pause-learning", "--days", "3")
    assert "is over already" in told("pause-learning", "--until", "1999-12-24")
    assert "is no date" in told("pause-learning", "--until", "soon")
    assert "not both" in told("pause-learning", "--until", "2199-12-24", "--days", "3")
    assert told("resume-learning") == "nights learn again"
    assert json.loads(told("status", "--json"))["paused"] == ""


def sat(folder: Path, arm: str, answers: dict[str, tuple[bool, str]]) -> None:
    """An examination's answers as a night writes them."""
    lines = [
        {
            "question": {"id": name, "repository": "r", "category": "search", "text": f"Where is <b>{name}</b>?"},
            "mark": {"question": name, "exact": right, "right": right, "end": "answered", "seconds": 1.0},
            "messages": [
                {"role": "user", "content": f"Where is <b>{name}</b>?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "1", "type": "function", "function": {"name": "grep", "arguments": '{"word": "<i>"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "found"},
                {"role": "assistant", "content": said},
            ],
        }
        for name, (right, said) in answers.items()
    ]
    (folder / f"examination-{arm}.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in lines))


def test_two_adapters_are_compared_question_by_question(tmp_path: Path) -> None:
    one, two = (Path(adapter(tmp_path, name)["path"]) for name in ("one", "two"))
    sat(one, "base", {"a": (False, "no idea"), "b": (True, "b.py")})
    sat(one, "adapter", {"a": (False, "over there"), "b": (True, "b.py"), "c": (True, "c.py")})
    sat(two, "adapter", {"a": (True, "<script>a.py</script>\x1b[2J"), "b": (True, "b.py"), "d": (True, "d.py")})

    def diff(*arguments: str) -> str:
        found = command(tmp_path, free_port(), "adapters", "diff", *arguments)
        assert "Traceback" not in found.stderr
        return found.stdout or found.stderr

    shown = diff("one", "two")
    for words in ("2 questions that both were asked", "1 gained, 0 lost", "Put to one only"):
        assert words in shown
    assert "[gained] Where is <b>a</b>?" in shown
    assert "<script>a.py</script>" in shown
    assert "\x1b[2J" not in shown
    assert "b.py" not in shown
    assert "[same] Where is <b>b</b>?" in diff("one", "two", "--all")
    told = json.loads(diff("one", "two", "--json"))
    assert (told["counts"]["gained"], told["right"], told["only_first"]) == (1, {"gained": 1, "lost": 0}, 1)
    assert [one["id"] for one in told["questions"]] == ["a"]
    assert told["questions"][0]["second"]["calls"] == [{"name": "grep", "arguments": '{"word": "<i>"}'}]
    told = json.loads(diff("one", "base", "--json"))
    assert (told["second"], told["counts"]["differently wrong"]) == ("base", 1)
    assert "page.html is written" in diff("one", "two", "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert "&lt;script&gt;a.py" in page
    assert "<script" not in page
    assert "<i>" not in page
    assert "examination-base.jsonl" in diff("two", "base")
    assert "there is no adapter folder 'three'" in diff("one", "three")
    sat(two, "adapter", {"e": (True, "e.py")})
    assert "no question in common" in diff("one", "two")
