"""A canary from its proposal to its end: a good adapter is promoted, a subtly bad one is rolled back by itself.

Over real sockets, with the real book of experiments; the models are scripted, so that it is known which calls are
wrong.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import READ_FILE, Running, Script, nightschool

pytestmark = pytest.mark.gateways

CANARY = {"canary__on": True, "canary__seconds": 0, "canary__quiet": 0}
WRONG = {"good": 0.01, "bad": 0.15}


def _number(body: dict[str, Any]) -> int:
    return int(body["messages"][0]["content"].split("thing_")[1].split("`")[0])


def _call(path: str) -> Act:
    return Act(calls=[("read_file", json.dumps({"path": path}))], finish="tool_calls")


def teacher(body: dict[str, Any]) -> Act:
    return _call(f"src/thing_{_number(body)}.py")


def student(body: dict[str, Any]) -> Act:
    """The adapter that is asked for is wrong in its share of the calls: another folder, all of it well-formed."""
    number = _number(body)
    wrong = random.Random(f"{body['model']} {number}").random() < WRONG.get(body["model"], 0.0)
    return _call(f"{'lib' if wrong else 'src'}/thing_{number}.py")


def adapter(home: Path, name: str) -> dict[str, Any]:
    folder = home / "models" / "adapters" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapters.safetensors").write_bytes(name.encode())
    return {"adapter": name, "path": str(folder), "verdict": {"passed": True}}


@pytest.fixture
def small() -> Iterator[Script]:
    with Script(student, model="small") as server:
        yield server


@pytest.fixture
def big() -> Iterator[Script]:
    with Script(teacher, model="big") as server:
        yield server


def ask(gateway: Running, number: int) -> dict[str, str]:
    """The first question of a conversation of its own."""
    status, headers, _ = gateway.chat(
        f"Where is `thing_{number}`?",
        body={"tools": [READ_FILE], "temperature": 0},
        headers={"x-nightschool-conversation": f"conversation {number}"},
    )
    assert status == 200
    return headers


def state(gateway: Running, name: str) -> dict[str, Any]:
    _, told = gateway.admin("/admin/experiments", method="GET")
    return next(one for one in told["experiments"] if one["experiment"]["name"] == f"canary-{name}")


def until_over(gateway: Running, name: str, most: int = 3000) -> tuple[dict[str, Any], int]:
    """Conversations until the canary has ended; how, and after how many."""
    for number in range(most):
        ask(gateway, number)
        if number % 10 == 9 and (found := state(gateway, name))["state"] != "running":
            return found, number + 1
    raise AssertionError(f"still running after {most}: {state(gateway, name)}")


def live(gateway: Running) -> str:
    return str((gateway.admin("/admin/status", method="GET")[1]["live"] or {}).get("adapter", ""))


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "end"), [("good", "promoted"), ("bad", "rolled_back")])
def test_a_good_adapter_is_promoted_and_a_subtly_bad_one_is_rolled_back(
    tmp_path: Path, small: Script, big: Script, name: str, end: str, record_property: Callable[[str, object], None]
) -> None:
    with Running(tmp_path, small.url, big.url, **CANARY) as gateway:
        gateway.wait_ready()
        status, told = gateway.admin("/admin/proposals", adapter(tmp_path, name))
        assert (status, told["live"], told["canary"]["experiment"]["name"]) == (201, None, f"canary-{name}")
        found, conversations = until_over(gateway, name)
        record_property("conversations", conversations)
        assert found["state"] == end, found
        assert live(gateway) == ("good" if end == "promoted" else "")
        arms = found["conversations"]
        assert conversations - 10 <= sum(arms.values()) <= conversations  # it is looked at after each ten
        if end == "promoted":
            assert found["canary"]["labels"]["bad"] <= 0.05 * found["canary"]["labels"]["seen"]
            assert arms["candidate"] >= 200
            assert gateway.admin("/admin/proposals", adapter(tmp_path, name))[1]["live"]["adapter"] == "good"
        else:
            assert "were worse" in found["why"]
            assert arms["candidate"] < 0.5 * conversations
            status, refused = gateway.admin("/admin/proposals", adapter(tmp_path, name))
            assert status == 409
            assert "was rolled back" in refused["error"]["message"]
        asked = len(small.asked)
        ask(gateway, 100_000)
        assert small.asked[asked].body["model"] == ("good" if end == "promoted" else "small")


def test_who_got_which_arm_outlives_a_kill_and_no_conversation_changes_it(
    tmp_path: Path, small: Script, big: Script
) -> None:
    settings = {**CANARY, "canary__conversations": 10, "canary__enough": 10_000}
    with Running(tmp_path, small.url, big.url, **settings) as gateway:
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        before = {number: gateway.trace(ask(gateway, number))["experiments"] for number in range(120)}
        told = state(gateway, "good")
        shown = nightschool("status", home=tmp_path, NIGHTSCHOOL_GATEWAY_PORT=str(gateway.port), COLUMNS="200").stdout
        assert "Canary: good, 50% of the conversations; " in shown
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
    with Running(tmp_path, small.url, big.url, **settings) as gateway:
        gateway.wait_ready()
        again = state(gateway, "good")
        assert (again["state"], again["conversations"]) == ("running", told["conversations"])
        assert again["canary"]["at"] >= told["canary"]["at"] > 2
        asked = len(small.asked)
        assert {number: gateway.trace(ask(gateway, number))["experiments"] for number in range(120)} == before
        models = Counter(seen.body["model"] for seen in small.asked[asked:])
        assert models == Counter("good" if arms["canary-good"] == "candidate" else "small" for arms in before.values())
        assert models["good"] > 10
        assert state(gateway, "good")["conversations"] == told["conversations"]


def test_an_adapter_that_is_gone_costs_nobody_an_answer(tmp_path: Path, big: Script) -> None:
    gone = threading.Event()

    def forgetful(body: dict[str, Any]) -> Act:
        if gone.is_set() and body["model"] == "good":
            return Act(status=404, body=b'{"error":{"message":"no such model","type":"x","code":"model_not_found"}}')
        return student(body)

    with Script(forgetful, model="small") as small, Running(tmp_path, small.url, big.url, **CANARY) as gateway:
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        status, refused = gateway.admin("/admin/adapters/good", method="DELETE")
        assert status == 409
        assert "canary-good" in refused["error"]["message"]
        for number in range(150):
            ask(gateway, number)
        gone.set()
        served: Counter[str] = Counter()
        for number in range(150, 400):
            served[ask(gateway, number)["x-nightschool-reason"]] += 1
            if state(gateway, "good")["state"] != "running":
                break
        assert state(gateway, "good")["why"] == "5 drafts in a row failed"
        assert served["student_failed"] == 5
        assert live(gateway) == ""


def test_a_folder_that_is_gone_is_not_promoted(tmp_path: Path, small: Script, big: Script) -> None:
    with Running(tmp_path, small.url, big.url, **CANARY, canary__conversations=5) as gateway:
        gateway.wait_ready()
        proposal = adapter(tmp_path, "good")
        gateway.admin("/admin/proposals", proposal)
        Path(proposal["path"], "adapters.safetensors").unlink()
        Path(proposal["path"]).rmdir()
        found, _ = until_over(gateway, "good")
        assert found["state"] == "rolled_back"
        assert "could not be promoted" in found["why"]
        assert live(gateway) == ""


def test_an_answer_under_way_stays_the_candidate_s_while_it_is_rolled_back(tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> Act:
        return Act(text=f"{body['model']} " * 60, pieces=60, pause=0.05)

    settings = {
        **CANARY,
        "router__hold": "fast",
        "router__confidence": 0,
        "canary__conversations": 2,
        "canary__quiet": 60,
    }
    with Script(slow, model="small") as small, Running(tmp_path, small.url, small.url, **settings) as gateway:
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        texts: list[tuple[str, str]] = []

        def streamed(number: int) -> None:
            body = {
                "model": "nightschool",
                "stream": True,
                "messages": [{"role": "user", "content": f"thing_{number}`"}],
            }
            named = {"x-nightschool-conversation": f"conversation {number}"}
            _, headers, raw = gateway.call("/v1/chat/completions", body, headers=named)
            chunks = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
            text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
            texts.append((headers["x-nightschool-trace"], text))

        asking = [threading.Thread(target=streamed, args=(number,)) for number in range(40)]
        for thread in asking:
            thread.start()
        time.sleep(0.9)  # all of them are under way, none has ended
        assert gateway.admin("/admin/rollback")[0] == 201
        assert state(gateway, "good")["state"] == "rolled_back"
        for thread in asking:
            thread.join(30)
        models: Counter[str] = Counter()
        for trace, text in texts:
            told = set(text.split())
            assert len(told) == 1  # every word of one answer is one model's
            arm = gateway.get(f"/v1/traces/{trace}")["experiments"]["canary-good"]
            assert told == {"good" if arm == "candidate" else "small"}
            models += Counter(told)
        assert models["good"] > 0


def _reported(gateway: Running, number: int, wrong: Callable[[str], bool]) -> None:
    """A user says what the answer of a conversation was worth."""
    headers = ask(gateway, number)
    thumb = "down" if wrong(gateway.trace(headers)["experiments"]["canary-good"]) else "up"
    status, _, _ = gateway.call("/v1/feedback", {"id": headers["x-nightschool-trace"], "thumb": thumb})
    assert status == 200


def _tried(gateway: Running, number: int, wrong: Callable[[str], bool]) -> None:
    """An agent runs the call of the answer, and tells what came of it."""
    name = {"x-nightschool-conversation": f"conversation {number}"}
    asked = [{"role": "user", "content": f"Where is `thing_{number}`?"}]
    body = {"model": "nightschool", "tools": [READ_FILE], "temperature": 0}
    _, headers, raw = gateway.call("/v1/chat/completions", {**body, "messages": asked}, headers=name)
    said = json.loads(raw)["choices"][0]["message"]
    failed = wrong(gateway.trace(headers)["experiments"]["canary-good"])
    result = "Error: no such file" if failed else "def thing(): ..."
    told = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": result}
    gateway.call("/v1/chat/completions", {**body, "messages": [*asked, said, told]}, headers=name)


@pytest.mark.parametrize(("happens", "kind"), [(_reported, "feedback"), (_tried, "tool_error")])
def test_what_users_and_tools_say_rolls_back_too(
    tmp_path: Path,
    small: Script,
    big: Script,
    happens: Callable[[Running, int, Callable[[str], bool]], None],
    kind: str,
) -> None:
    """The teacher is never asked here: the adapter before is the measure."""
    settings = {**CANARY, "canary__conversations": 10, "canary__quiet": 600}
    chance = random.Random(1)
    with Running(tmp_path, small.url, big.url, **settings) as gateway:
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        for number in range(400):
            happens(gateway, number, lambda arm: chance.random() < (0.5 if arm == "candidate" else 0.05))
            if (found := state(gateway, "good"))["state"] != "running":
                break
        assert found["state"] == "rolled_back"
        assert found["why"].startswith(f"{kind}: ")
        assert found["canary"]["labels"]["seen"] == 0


def test_there_is_one_canary_at_a_time_and_nothing_goes_past_it(tmp_path: Path, small: Script, big: Script) -> None:
    with Running(tmp_path, small.url, big.url, **CANARY) as gateway:
        gateway.wait_ready()
        first = gateway.admin("/admin/proposals", adapter(tmp_path, "good"))[1]["canary"]
        again = gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        assert (again[0], again[1]["canary"]["started"]) == (201, first["started"])
        status, refused = gateway.admin("/admin/proposals", adapter(tmp_path, "bad"))
        assert (status, "good is a canary already" in refused["error"]["message"]) == (409, True)
        assert "bad" not in gateway.admin("/admin/status", method="GET")[1]["adapters"]
        arms = [{"name": "a"}, {"name": "b", "adapter": "bad"}]
        assert gateway.admin("/admin/experiments", {"name": "which", "arms": arms})[0] == 409


def test_a_candidate_that_breaks_while_no_teacher_is_there_costs_nobody_an_answer(tmp_path: Path) -> None:
    def broken(body: dict[str, Any]) -> Act:
        return Act(status=500) if body["model"] == "good" else student(body)

    settings = {**CANARY, "canary__conversations": 3, "teacher__attempts": 1}
    with (
        Script(broken, model="small") as small,
        Script(Act(status=503), model="big") as big,
        Running(tmp_path, small.url, big.url, **settings) as gateway,
    ):
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        reasons: Counter[str] = Counter()
        for number in range(100):
            headers = ask(gateway, number)  # each is answered
            reasons[headers["x-nightschool-reason"]] += 1
            if headers["x-nightschool-reason"] == "teacher_failed":
                assert gateway.trace(headers)["model"] == "small"
        assert reasons["teacher_failed"] == 5
        assert state(gateway, "good")["why"] == "5 drafts in a row failed"


def test_a_teacher_s_answer_that_is_cut_off_is_no_measure(tmp_path: Path, small: Script) -> None:
    settings = {**CANARY, "canary__conversations": 3}
    with (
        Script(Act(text="I would", finish="length"), model="big") as big,
        Running(tmp_path, small.url, big.url, **settings) as gateway,
    ):
        gateway.wait_ready()
        gateway.admin("/admin/proposals", adapter(tmp_path, "good"))
        for number in range(60):
            ask(gateway, number)
        wait_for(lambda: len(big.asked) > 5)
        assert state(gateway, "good")["canary"]["labels"]["seen"] == 0
