"""Feedback on answers, and forgetting them: each client speaks of its own traces only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.outcome import Outcome
from distill.store.store import TraceStore
from gateway.backends.scripted import Act
from router.chat import AnswerMessage
from tests.gateway.running import Running, Script, new_key

pytestmark = pytest.mark.gateways


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with (
        Script(Act(text="s")) as student,
        Script(Act(text="It is there.")) as teacher,
        Running(home, student.url, teacher.url) as running,
    ):
        yield running


def ask(gateway: Running, text: str, conversation: str = "") -> tuple[str, str]:
    """The trace's id, and the answer's as a client sees it."""
    headers = {"x-nightschool-conversation": conversation} if conversation else {}
    body = {"model": "teacher", "messages": [{"role": "user", "content": text}]}
    status, told, answer = gateway.call("/v1/chat/completions", body, headers=headers)
    assert status == 200
    return told["x-nightschool-trace"], msgspec.json.decode(answer)["id"]


def outcomes(gateway: Running, trace: str) -> list[Outcome]:
    async def read() -> list[Outcome]:
        async with await TraceStore.open_to_read(gateway.home / "data" / "traces.db") as store:
            return await store.outcomes([trace])

    end = time.monotonic() + 5
    while not (found := asyncio.run(read())) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    ("said", "score", "corrected"),
    [
        ({"thumb": "down", "comment": "wrong file"}, -1.0, None),
        ({"score": 0.5}, 0.5, None),
        ({"corrected": "It is elsewhere."}, None, AnswerMessage("It is elsewhere.")),
        ({"corrected": {"content": "Better."}, "thumb": "up"}, 1.0, AnswerMessage("Better.")),
    ],
)
def test_feedback_is_kept_with_its_trace(
    gateway: Running, said: dict[str, Any], score: float | None, corrected: Any
) -> None:
    trace, _ = ask(gateway, f"Where? {said}")
    status, _, body = gateway.call("/v1/feedback", {"id": trace, **said})
    assert (status, msgspec.json.decode(body)["trace"]) == (200, trace)
    found = outcomes(gateway, trace)
    assert [(o.kind, o.score, o.comment, o.corrected, o.teach) for o in found] == [
        ("feedback", score, said.get("comment", ""), corrected, True)
    ]


def test_an_answers_own_id_and_a_conversation_name_a_trace_too(gateway: Running) -> None:
    ask(gateway, "One?", "talk")
    trace, answer = ask(gateway, "Two?", "talk")
    for said in ({"id": answer}, {"conversation": "talk"}):
        status, _, body = gateway.call("/v1/feedback", {**said, "thumb": "up"})
        assert (status, msgspec.json.decode(body)["trace"]) == (200, trace)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"thumb": "up"}, "needs 'id'"),
        ({"id": "x", "conversation": "y", "thumb": "up"}, "not both"),
        ({"id": "x"}, "needs a 'score'"),
        ({"id": "x", "score": 2}, "between -1 and 1"),
        ({"id": "x", "score": 1, "thumb": "up"}, "not both"),
        ({"id": "x", "thumb": "sideways"}, "Invalid feedback"),
        ({"id": "x", "comment": "y" * 20_000}, "10000 characters"),
        ([], "Invalid feedback"),
    ],
)
def test_feedback_that_makes_no_sense_is_refused(gateway: Running, said: Any, words: str) -> None:
    status, _, body = gateway.call("/v1/feedback", said)
    assert status == 400
    assert words in body.decode()


def test_feedback_on_what_is_not_there_is_refused(gateway: Running) -> None:
    assert gateway.call("/v1/feedback", {"id": "trace-none", "thumb": "up"})[0] == 404
    assert gateway.call("/v1/feedback", {"conversation": "nobody", "thumb": "up"})[0] == 404


def test_a_forgotten_trace_is_gone_from_disk_and_cache(gateway: Running) -> None:
    body = {"model": "teacher", "messages": [{"role": "user", "content": "walrus?"}], "temperature": 0}
    cached = {"x-nightschool-cache": "1"}
    _, told, _ = gateway.call("/v1/chat/completions", body, headers=cached)
    _, again, _ = gateway.call("/v1/chat/completions", body, headers=cached)
    assert again["x-nightschool-reason"] == "cached"
    trace = told["x-nightschool-trace"]
    status, _, answer = gateway.call(f"/v1/traces/{trace}", b"", "DELETE")
    assert (status, msgspec.json.decode(answer)["traces"]) == (200, [trace])
    assert gateway.call(f"/v1/traces/{trace}", b"", "GET")[0] == 404
    assert gateway.call(f"/v1/traces/{again['x-nightschool-trace']}", b"", "DELETE")[0] == 200
    _, anew, _ = gateway.call("/v1/chat/completions", body, headers=cached)
    assert anew["x-nightschool-reason"] != "cached"
    assert gateway.call("/v1/traces/trace-none", b"", "DELETE")[0] == 404


def test_a_forgotten_response_cannot_be_named_any_more(gateway: Running) -> None:
    status, told, answer = gateway.call("/v1/responses", {"model": "teacher", "input": "seal?"})
    assert status == 200
    response = msgspec.json.decode(answer)["id"]
    assert gateway.call(f"/v1/responses/{response}", b"", "GET")[0] == 200
    assert gateway.call(f"/v1/traces/{told['x-nightschool-trace']}", b"", "DELETE")[0] == 200
    assert gateway.call(f"/v1/responses/{response}", b"", "GET")[0] == 404


def test_a_client_speaks_of_its_own_traces_only(tmp_path: Path) -> None:
    mine, other = new_key(tmp_path, "mine"), new_key(tmp_path, "other", "--no-teach")
    with (
        Script(Act(text="s")) as student,
        Script(Act(text="t")) as teacher,
        Running(tmp_path, student.url, teacher.url) as gateway,
    ):
        gateway.key = mine
        gateway.wait_ready()
        trace, _ = ask(gateway, "Mine?", "talk")
        gateway.key = other
        assert gateway.call("/v1/feedback", {"id": trace, "thumb": "up"})[0] == 404
        assert gateway.call("/v1/feedback", {"conversation": "talk", "thumb": "up"})[0] == 404
        assert gateway.call(f"/v1/traces/{trace}", b"", "DELETE")[0] == 404
        own, _ = ask(gateway, "Other?", "talk")
        assert gateway.call("/v1/feedback", {"id": own, "thumb": "up"})[0] == 200
        assert [found.teach for found in outcomes(gateway, own)] == [False]
        gateway.key = (tmp_path / "data" / "admin.key").read_text().strip()
        status, _, body = gateway.call("/admin/forget", {"traces": [trace, own]})
        assert (status, sorted(msgspec.json.decode(body)["traces"])) == (201, sorted([trace, own]))
