"""What a key allows to be done with its requests: kept, learnt from, shown to models on other machines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from distill import filters
from distill.store.store import TraceStore
from distill.trajectory import by_conversation
from gateway.backends.scripted import Act
from router.decision import Arm
from router.policy import Rules, before
from tests.gateway.running import READ_FILE, Running, Script, elsewhere, new_key
from tests.router.test_score_and_policy import ASK

OPTIONS = {"plain": (), "untold": ("--no-record",), "untaught": ("--no-teach",), "here": ("--stays-here",)}


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def gateway(
    student: Script, teacher: Script, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway with a student here and a teacher elsewhere."""
    home = tmp_path_factory.mktemp("home")
    keys.update({name: new_key(home, name, *options) for name, options in OPTIONS.items()})
    with Running(home, student.url, elsewhere(teacher.url), router__holdout=0.5) as running:
        running.key = keys["plain"]
        running.wait_ready()
        yield running


def ask(
    gateway: Running, secret: str, text: str = "Hi", **more: Any
) -> tuple[int, dict[str, str], dict[str, Any], dict[str, Any]]:
    """Status, headers, body and trace of a request, as the client of that key."""
    gateway.key = secret
    status, headers, answer = gateway.chat(text, **more)
    found = gateway.call("/v1/traces/" + headers["x-nightschool-trace"], b"", "GET")
    return status, headers, answer, gateway.trace(headers) if found[0] == 200 else {}


def test_a_trace_names_its_client_and_allows_everything_by_default(gateway: Running, keys: dict[str, str]) -> None:
    *_, trace = ask(gateway, keys["plain"])
    assert trace["client"] == "plain"
    assert not {"teach", "may_leave_machine"} & trace.keys()  # true goes without saying


async def test_without_the_right_to_record_there_is_no_trace(gateway: Running, keys: dict[str, str]) -> None:
    status, _, _, trace = ask(gateway, keys["untold"], "Tell nobody of the zebra.")
    assert (status, trace) == (200, {})
    ask(gateway, keys["untold"], "Tell nobody of the zebra.", model="teacher")
    *_, trace = ask(gateway, keys["plain"], "You may tell of the lion.")
    assert trace
    await asyncio.sleep(0.3)
    async with await TraceStore.open(gateway.home / "data" / "traces.db") as store:
        kept = repr(await store.after(0))
    assert "lion" in kept
    assert "zebra" not in kept
    assert "zebra" not in gateway.log.read_text()


def test_without_the_right_to_record_no_response_is_kept(gateway: Running, keys: dict[str, str]) -> None:
    for name, kept in (("plain", True), ("untold", False)):
        gateway.key = keys[name]
        _, _, body = gateway.call("/v1/responses", {"model": "nightschool", "input": "Hi"})
        response = msgspec.json.decode(body)
        status, _, _ = gateway.call(f"/v1/responses/{response['id']}", b"", "GET")
        assert (response["store"], status) == (kept, 200 if kept else 404)


def test_a_request_may_still_renounce_its_trace(gateway: Running, keys: dict[str, str]) -> None:
    *_, trace = ask(gateway, keys["plain"], headers={"x-nightschool-no-trace": "1"})
    assert trace == {}


async def test_without_the_right_to_teach_the_night_learns_nothing(gateway: Running, keys: dict[str, str]) -> None:
    for name in ("plain", "untaught"):
        ask(gateway, keys[name], model="teacher", headers={"x-nightschool-conversation": "the same name"})
    *_, trace = ask(gateway, keys["untaught"])
    assert trace["teach"] is False
    await asyncio.sleep(0.3)
    async with await TraceStore.open(gateway.home / "data" / "traces.db") as store:
        traces = [trace for _, trace in await store.after(0) if trace.conversation == "the same name"]
    plain, untaught = filters.sift(by_conversation(traces), filters.Told(filters.Rules(confirm=False)))
    assert [example.traces for example in plain.examples] == [[traces[0].id]]
    assert (untaught.examples, untaught.dropped) == ([], {"may_not_teach": 1})


def test_what_stays_here_is_answered_by_the_student(gateway: Running, keys: dict[str, str], teacher: Script) -> None:
    for number in range(8):  # about half of the conversations would be the teacher's
        status, headers, _, trace = ask(gateway, keys["here"], f"Question {number}")
        assert (status, headers["x-nightschool-served-by"], trace["decision"]["reason"]) == (
            200,
            "student",
            "stays_here",
        )
    assert trace["may_leave_machine"] is False
    assert not teacher.asked


def test_what_stays_here_is_answered_with_a_doubtful_draft_too(
    gateway: Running, keys: dict[str, str], student: Script, teacher: Script
) -> None:
    student.play(Act(text="perhaps", logprob=-3.0))
    status, _, answer, trace = ask(gateway, keys["here"])
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "perhaps")
    assert trace["decision"]["scores"]["confidence"] < trace["decision"]["threshold"]
    assert not teacher.asked


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("more", "act", "why"),
    [
        ({"n": 2}, Act(text="student"), "capability: n"),
        ({"model": "teacher"}, Act(text="student"), "requested"),
        ({"model": "large"}, Act(text="student"), "requested"),
        ({"tools": [READ_FILE]}, Act(calls=[("delete_file", "{}")]), "unverified: unknown tool: delete_file"),
    ],
)
def test_what_only_the_teacher_could_answer_is_refused(
    gateway: Running,
    keys: dict[str, str],
    student: Script,
    teacher: Script,
    more: dict[str, Any],
    act: Act,
    why: str,
    stream: bool,
) -> None:
    student.play(act)
    status, _, answer, trace = ask(gateway, keys["here"], body={"stream": stream, **more})
    assert status == 403
    assert (answer["error"]["type"], answer["error"]["code"]) == ("permission_error", "may_not_leave_machine")
    assert why in answer["error"]["message"]
    assert (trace["state"], trace["may_leave_machine"]) == ("failed", False)
    assert not teacher.asked


def test_a_student_that_fails_is_no_reason_to_send_it_elsewhere(
    gateway: Running, keys: dict[str, str], student: Script, teacher: Script
) -> None:
    student.play(Act(status=500))
    status, headers, answer, _ = ask(gateway, keys["here"])
    assert (status, answer["error"]["code"]) == (503, "backend_unreachable")
    assert int(headers["retry-after"]) >= 1
    assert not teacher.asked
    *_, trace = ask(gateway, keys["plain"])
    assert trace["decision"]["arm"] == "teacher"


def test_a_student_elsewhere_does_not_see_it_either(
    student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    secret = new_key(home, "here", "--stays-here")
    with Running(home, elsewhere(student.url), teacher.url) as gateway:
        gateway.key = secret
        gateway.wait_ready()
        status, headers, *_ = ask(gateway, secret)
        assert (status, headers["x-nightschool-served-by"], headers["x-nightschool-reason"]) == (
            200,
            "teacher",
            "stays_here",
        )
        assert ask(gateway, secret, model="student")[0] == 403
        assert not student.asked


@pytest.mark.parametrize(
    ("barred", "rules", "wanted"),
    [
        (("teacher",), Rules(), None),  # uncertified, and all the same the only one
        (("teacher",), Rules(uncertified="serve", taught=False, holdout=1.0), None),
        (("teacher",), Rules(policy="teacher"), ("teacher", "policy")),
        (("student",), Rules(uncertified="serve", holdout=0), ("teacher", "stays_here")),
        (("student", "teacher"), Rules(uncertified="serve", holdout=0), ("teacher", "stays_here")),
    ],
)
def test_the_policy_knows_who_may_not_see_a_request(
    barred: tuple[Arm, ...], rules: Rules, wanted: tuple[str, str] | None
) -> None:
    decision = before(ASK, rules, conversation="c", barred=frozenset(barred))
    assert (decision and (decision.arm, decision.reason)) == wanted


@pytest.mark.parametrize(
    ("path", "said"), [("/v1/chat/completions", "1"), ("/v1/chat/completions", "True"), ("/v1/embeddings", "true")]
)
def test_a_request_may_say_that_it_stays_here(
    gateway: Running, keys: dict[str, str], teacher: Script, path: str, said: str
) -> None:
    gateway.key = keys["plain"]
    body = {"model": "teacher", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}
    status, _, answer = gateway.call(path, body, headers={"x-nightschool-stay-here": said})
    assert status == 403
    assert b"may not leave the machine" in answer
    assert not teacher.asked
