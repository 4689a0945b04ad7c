"""An experiment from its start to its verdict, by the command, over real sockets and with real traces."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script, environment

pytestmark = pytest.mark.gateways
ARMS = ["--arm", "as set", "--arm", "student:answers=student"]


def student(body: dict[str, Any]) -> Act:
    told = body["messages"][0]["role"] == "system"
    return Act(text=f"said by {body['model']}{', who was told how' if told else ''}")


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Running]:
    with (
        Script(student, model="small") as small,
        Script(Act(text="said by the teacher", delay=0.1), model="big") as big,
        Running(tmp_path, small.url, big.url, router__uncertified="shadow") as gateway,
    ):
        gateway.wait_ready()
        (tmp_path / "nightschool.toml").write_text(f"[gateway]\nport = {gateway.port}\n")
        yield gateway


def command(gateway: Running, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "experiment", *words],
        env=environment(gateway.home, COLUMNS="200"),
        cwd=gateway.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(gateway: Running, *words: str) -> str:
    found = command(gateway, *words)
    assert found.returncode == 0, found.stderr
    return found.stdout


def refused(gateway: Running, *words: str) -> str:
    found = command(gateway, *words)
    assert found.returncode != 0
    return found.stderr


def ask(gateway: Running, conversation: int, **more: Any) -> dict[str, str]:
    named = {"x-nightschool-conversation": f"conversation {conversation}"}
    status, headers, _ = gateway.chat("Hi", headers={**named, **more.pop("headers", {})}, **more)
    assert status == 200
    return headers


def test_conversations_are_divided_and_the_verdict_says_what_came_of_it(school: Running) -> None:
    done(school, "start", "who", *ARMS)
    served = [ask(school, number) for number in range(160)]
    for headers in served:
        arm = school.trace(headers)["experiments"]["who"]
        by, reason = headers["x-nightschool-served-by"], headers["x-nightschool-reason"]
        assert (by, reason) == (("student", "experiment") if arm == "student" else ("teacher", "uncertified"))
    assert [ask(school, number)["x-nightschool-served-by"] for number in range(20)] == [
        headers["x-nightschool-served-by"] for headers in served[:20]
    ]
    trace = school.trace(served[0])
    assert trace["decision"]["propensity"] == 0.5
    told = done(school, "status", "who")
    assert "+100.0 points (between" in told
    assert "more." in told
    assert "seconds of a request: -0.1" in told
    assert "better." in told
    counts = Counter(school.trace(headers)["experiments"]["who"] for headers in served)
    assert f"as set {counts['as set']}, student {counts['student']}" in told
    assert "stopped: somebody stopped it" in done(school, "stop", "who")
    assert {ask(school, number)["x-nightschool-reason"] for number in range(20)} == {"uncertified"}
    assert "experiments" not in school.trace(ask(school, 1))
    assert "who: stopped" in done(school, "status")


def test_what_names_its_arm_may_not_leave_or_is_held_out_takes_no_part(school: Running) -> None:
    done(school, "start", "who", *ARMS)
    assert "experiments" not in school.trace(ask(school, 1, model="teacher"))
    assert school.admin("/admin/experiments", method="GET")[1]["experiments"][0]["conversations"] == {
        "as set": 0,
        "student": 0,
    }


def test_few_conversations_decide_nothing(school: Running) -> None:
    done(school, "start", "who", *ARMS)
    assert "No conversation has come yet." in done(school, "status", "who")
    for number in range(12):
        ask(school, number)
    assert "nothing can be said before each arm has 50 conversations" in done(school, "status", "who")


def test_an_experiment_that_cannot_be_run_is_refused_with_the_reason(school: Running) -> None:
    assert "two arms at least" in refused(school, "start", "x", "--arm", "a")
    assert "is not understood" in refused(school, "start", "x", "--arm", "a", "--arm", "b:colour=red")
    assert "not by 'nobody'" in refused(school, "start", "x", "--arm", "a", "--arm", "b:answers=nobody")
    assert "not both at once" in refused(school, "start", "x", "--arm", "a:adapter=n", "--arm", "b:answers=teacher")
    assert "there is no prompt 'none'" in refused(school, "start", "x", "--arm", "a", "--arm", "b:prompt=none")
    assert "adapters.safetensors" in refused(school, "start", "x", "--arm", "a", "--arm", "b:adapter=gone")
    assert "are those of canaries" in refused(school, "start", "canary-x", *ARMS)
    assert "there is no experiment 'x'" in refused(school, "status", "x")
    assert "There is no experiment 'x'" in refused(school, "stop", "x")
    done(school, "start", "who", *ARMS)
    assert "changes the router, too" in refused(school, "start", "other", "--arm", "a", "--arm", "b:confidence=0.9")
    done(school, "stop", "who")
    assert "was an experiment 'who' already" in refused(school, "start", "who", *ARMS)


def test_two_layers_share_a_conversation(school: Running) -> None:
    folder = school.home / "models" / "adapters" / "new"
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(b"weights")
    done(school, "start", "who", *ARMS)
    done(school, "start", "which", "--arm", "base", "--arm", "new:adapter=new")
    said: Counter[str] = Counter()
    for number in range(60):
        _, headers, body = school.chat("Hi", headers={"x-nightschool-conversation": f"{number}"})
        arms = school.trace(headers)["experiments"]
        text = body["choices"][0]["message"]["content"]
        student = "said by new" if arms["which"] == "new" else "said by small"
        assert text == (student if arms["who"] == "student" else "said by the teacher")
        said[text] += 1
    assert len(said) == 3
    assert school.admin("/admin/adapters/new", method="DELETE")[0] == 409
    done(school, "stop", "which")
    assert "new" not in school.admin("/admin/status", method="GET")[1]["adapters"]


def test_a_prompt_is_an_arm_too(school: Running) -> None:
    prompt = school.home / "short.toml"
    prompt.write_text('name = "short"\nsystem = "Be short."\n')
    done(school, "start", "told", "--arm", "as it is", "--arm", f"short:prompt={prompt}")
    done(school, "start", "who", "--arm", "s:answers=student", "--arm", "none:answers=teacher,weight=0")
    for number in range(30):
        _, headers, body = school.chat("Hi", headers={"x-nightschool-conversation": f"{number}"})
        trace, text = school.trace(headers), body["choices"][0]["message"]["content"]
        assert ("who was told how" in text) == (trace["experiments"]["told"] == "short")
        assert len(trace["request"]["messages"]) == 1  # the prompt is ours, and no part of what was asked


@pytest.mark.parametrize("days", [0, 3])
def test_how_many_conversations_it_takes_is_said_beforehand(school: Running, days: int) -> None:
    for number in range(days):
        ask(school, number)
    told = done(school, "plan", "--share", "0.85", "--change=-0.05")
    assert "each of two arms needs 17" in told
    assert ("conversations a day of late" in told) == bool(days)
    assert "there is no share" in refused(school, "plan", "--share", "0.85", "--change", "0")


def test_a_damaged_book_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "experiments.db").write_bytes(b"not a database at all, not even nearly" * 100)
    found = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "serve"],
        env=environment(
            tmp_path, NIGHTSCHOOL_STUDENT_URL="http://127.0.0.1:9/v1", NIGHTSCHOOL_TEACHER_URL="http://127.0.0.1:9/v1"
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode != 0
    assert "move it away, and no experiment is known any more" in found.stderr


def test_an_arm_of_the_teacher_s_costs_nobody_an_answer_when_its_money_is_spent(tmp_path: Path) -> None:
    prices = {"teacher__price_output": 1_000_000, "teacher__daily_limit": 0.5, "router__holdout": 0}
    with (
        Script(student, model="small") as small,
        Script(Act(text="said by the teacher"), model="big") as big,
        Running(tmp_path, small.url, big.url, **prices) as gateway,
    ):
        gateway.wait_ready()
        arms = [{"name": "as set"}, {"name": "teacher", "answers": "teacher"}]
        assert gateway.admin("/admin/experiments", {"name": "who", "arms": arms})[0] == 201
        served = [gateway.trace(ask(gateway, number)) for number in range(20)]
        ours = [trace for trace in served if trace["experiments"]["who"] == "teacher"]
        assert ours[0]["decision"]["reason"] == "experiment"
        assert {trace["decision"]["reason"] for trace in ours[1:]} == {"teacher_failed"}  # by the student, all of them
