"""GET /metrics of a real gateway: every outcome is counted once, and the gateway's own part is told apart."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from gateway.errors import CODES
from tests.gateway.running import Running, Script, new_key
from tests.gateway.watching.seen import Figures, ended, figures, page, risen, until

USER = [{"role": "user", "content": "Hi"}]
COUNTED = ("requests_total", "drafts_total", "draft_tokens_wasted_total", "tokens_total", "errors_total")


@pytest.fixture(scope="module")
def watched(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = {"teacher__attempts": 1, "teacher__failures": 0, "student__failures": 0, "teacher__at_once": 2}
    with Running(tmp_path_factory.mktemp("home"), student.url, teacher.url, **limits) as running:
        running.wait_ready()
        yield running


def stream(gateway: Running, **more: Any) -> bytes:
    body = {"model": "nightschool", "messages": USER, "stream": True, **more}
    return gateway.call("/v1/chat/completions", body)[2]


@contextmanager
def asking(gateway: Running, payload: Any) -> Iterator[socket.socket]:
    """A request under way, whose client goes away at the end of the block."""
    body = msgspec.json.encode(payload)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        yield client


def after(gateway: Running, before: Figures, turns: int) -> Figures:
    """The figures once so many more turns have ended."""
    return until(gateway, lambda found: ended(found) == ended(before) + turns)


def test_every_outcome_is_counted_once(watched: Running, student: Script, teacher: Script) -> None:
    before = figures(watched)
    student.play(Act(text="12345678"))  # two tokens
    assert watched.chat()[1]["x-nightschool-served-by"] == "student"
    student.play(Act(text="123456789012", logprob=-5.0))
    assert watched.chat()[1]["x-nightschool-reason"] == "doubtful"
    assert stream(watched).endswith(b"data: [DONE]\n\n")
    teacher.play(Act(status=500))
    assert watched.chat(model="teacher")[0] == 502
    assert watched.chat(model="nobody")[0] == 404
    assert watched.call("/v1/messages", {"model": "student", "messages": USER, "max_tokens": 9})[0] == 200
    teacher.play(Act(text="word " * 50, pieces=50, pause=0.2))
    with asking(watched, {"model": "teacher", "stream": True, "messages": USER}) as client:
        assert client.recv(2000).startswith(b"HTTP/1.1 200")
    found = risen(before, after(watched, before, 6), *COUNTED)
    assert found == {
        'requests_total{arm="student",reason="verified",state="completed",wire="chat"}': 1,
        'requests_total{arm="teacher",reason="doubtful",state="completed",wire="chat"}': 2,
        'requests_total{arm="teacher",reason="requested",state="failed",wire="chat"}': 1,
        'requests_total{arm="student",reason="requested",state="completed",wire="messages"}': 1,
        'requests_total{arm="teacher",reason="requested",state="aborted",wire="chat"}': 1,
        'drafts_total{outcome="verified"}': 1,
        'drafts_total{outcome="doubtful"}': 2,
        "draft_tokens_wasted_total": 6,
        'tokens_total{arm="student",kind="prompt"}': 20,
        'tokens_total{arm="student",kind="completion"}': 5,
        'tokens_total{arm="teacher",kind="prompt"}': 20,
        'tokens_total{arm="teacher",kind="completion"}': 4,
        'errors_total{code="backend_refused"}': 1,
        'errors_total{code="model_not_found"}': 1,
    }


def test_a_draft_that_broke_and_one_that_was_left_are_counted_too(watched: Running, student: Script) -> None:
    before = figures(watched)
    student.play(Act(drop=True))
    assert watched.chat()[1]["x-nightschool-reason"] == "student_failed"
    student.play(Act(hang=True))
    with asking(watched, {"model": "nightschool", "messages": USER}):
        until(watched, lambda found: found['backend_in_flight{backend="student"}'] == 1)
    found = risen(before, after(watched, before, 2), "drafts_total", "draft_tokens_wasted_total")
    assert found == {'drafts_total{outcome="student_failed"}': 1, 'drafts_total{outcome="aborted"}': 1}


def test_seconds_to_the_first_byte_and_in_all(watched: Running, teacher: Script) -> None:
    before = figures(watched)
    teacher.play(Act(text="word " * 10, pieces=10, pause=0.05, delay=0.2))
    stream(watched, model="teacher")
    found = risen(before, after(watched, before, 1), "request_seconds_sum", "first_byte_seconds_sum")
    assert 0.2 < found['first_byte_seconds_sum{arm="teacher"}'] < 0.45
    assert 0.65 < found['request_seconds_sum{arm="teacher"}'] < 2


@pytest.mark.parametrize("streamed", [False, True])
def test_waiting_for_models_is_not_overhead(watched: Running, student: Script, teacher: Script, streamed: bool) -> None:
    before = figures(watched)
    student.play(Act(text="unsure", logprob=-5.0, delay=0.3))
    teacher.play(Act(text="word " * 10, pieces=10, pause=0.03, delay=0.3))
    watched.call("/v1/chat/completions", {"model": "nightschool", "messages": USER, "stream": streamed})
    found = risen(before, after(watched, before, 1), "overhead_seconds_sum", "overhead_seconds_count")
    label = f'{{streamed="{str(streamed).lower()}"}}'
    assert found["overhead_seconds_count" + label] == 1
    assert 0 < found["overhead_seconds_sum" + label] < 0.1


def test_waiting_for_a_place_is_not_overhead(watched: Running, teacher: Script) -> None:
    before = figures(watched)
    teacher.play(Act(text="slow", delay=0.3))
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(watched.chat, model="teacher") for _ in range(5)]  # at_once is 2
        found = until(watched, lambda found: found['backend_waiting{backend="teacher"}'] == 3)
        assert found['backend_in_flight{backend="teacher"}'] == 2
        assert [one.result()[0] for one in asked] == [200] * 5
    found = risen(before, after(watched, before, 5), "request_seconds_sum", "overhead_seconds_sum")
    assert found['request_seconds_sum{arm="teacher"}'] > 2 * 0.3 + 2 * 0.6 + 0.9
    assert found['overhead_seconds_sum{streamed="false"}'] < 0.3


def test_a_client_that_does_not_read_is_not_overhead(watched: Running, teacher: Script) -> None:
    before = figures(watched)
    teacher.play(Act(text="word " * 4_000_000, pieces=200))
    with asking(watched, {"model": "teacher", "stream": True, "messages": USER}) as client:
        time.sleep(2)
        assert ended(figures(watched)) == ended(before)  # the gateway waits until the client takes more
        while not client.recv(1_000_000).endswith(b"0\r\n\r\n"):
            pass
    found = risen(before, after(watched, before, 1), "request_seconds_sum", "overhead_seconds_sum")
    assert found['request_seconds_sum{arm="teacher"}'] > 2
    assert found['overhead_seconds_sum{streamed="true"}'] < 1


def test_states_are_told_as_they_are(watched: Running) -> None:
    health = watched.get("/health")
    found = figures(watched)
    assert found['backend_ready{backend="student"}'] == found['backend_ready{backend="teacher"}'] == 1
    assert found['backend_resting_seconds{backend="teacher"}'] == 0
    assert found["traces_written_total"] >= health["traces"]["written"]
    assert found["traces_dropped_total"] == 0
    assert found["leased_bytes"] == 0
    assert watched.admin("/admin/lease", {"bytes": 5_000_000, "seconds": 60})[0] == 201
    assert figures(watched)["leased_bytes"] == 5_000_000


def test_all_codes_are_there_before_the_first_error(watched: Running) -> None:
    told = {key for key in figures(watched) if key.startswith("errors_total")}
    assert told == {f'errors_total{{code="{code}"}}' for code in CODES}


def test_where_keys_are_needed_figures_want_one_too(student: Script, teacher: Script, tmp_path: Path) -> None:
    secret = new_key(tmp_path, "alice")
    with Running(tmp_path, student.url, teacher.url) as running:
        for wrong in ("", "ns-wrong", secret[:-1]):
            status, _, body = running.call("/metrics", b"", "GET", {"authorization": f"Bearer {wrong}"})
            assert (status, msgspec.json.decode(body)["error"]["code"]) == (401, "invalid_api_key")
        running.key = secret
        assert figures(running)['errors_total{code="invalid_api_key"}'] == 3
        running.key = (tmp_path / "data" / "admin.key").read_text()
        assert "alice" not in page(running)


def test_what_a_backend_tells_cannot_break_the_figures(watched: Running, teacher: Script) -> None:
    """Usage below zero, and error codes of which there is no end."""
    before = figures(watched)
    answer = {
        "id": "x",
        "created": 1,
        "model": "m",
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
    }
    usage = {"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10}
    teacher.play(Act(raw=msgspec.json.encode({**answer, "usage": usage})))
    assert watched.chat(model="teacher")[0] == 200
    teacher.play(Act(status=400, body=b'{"error": {"message": "no", "code": "made-up"}}'))
    assert watched.chat(model="teacher")[0] == 400
    found = risen(before, after(watched, before, 2), "tokens_total", "errors_total")
    assert found == {'errors_total{code="backend_refused"}': 1}
    assert ended(figures(watched)) == ended(before) + 2


def test_a_page_that_may_not_come_in_is_counted(watched: Running) -> None:
    before = figures(watched)
    assert watched.call("/v1/models", b"", "GET", {"origin": "http://tapir.example"})[0] == 403
    assert watched.call("/nowhere", b"", "GET")[0] == 404
    assert watched.call("/v1/messages/count_tokens", {"model": "nobody", "messages": USER})[0] == 404
    assert watched.call("/v1/responses/input_tokens", {"model": "nobody", "input": "Hi"})[0] == 404
    found = risen(before, figures(watched), "errors_total")
    assert found == {
        'errors_total{code="origin_refused"}': 1,
        'errors_total{code="not_found"}': 1,
        'errors_total{code="model_not_found"}': 2,
    }


def test_local_processes_are_told(teacher: Script, tmp_path: Path) -> None:
    with Running(tmp_path, "", "", teacher__model="expert", router__policy="teacher") as running:
        found = until(running, lambda found: found['process_up{process="teacher"}'] == 1)
        assert found['process_restarts_total{process="teacher"}'] == 0
        os.kill(running.get("/health")["processes"]["teacher"]["pid"], signal.SIGKILL)
        until(running, lambda found: found['process_restarts_total{process="teacher"}'] == 1)


def test_a_backend_that_is_left_alone_and_what_was_spent(student: Script, teacher: Script, tmp_path: Path) -> None:
    prices = {"teacher__price_input": 1_000_000, "teacher__price_output": 0, "teacher__daily_limit": 1000}
    settings = {"teacher__attempts": 1, "teacher__failures": 1, **prices}
    with Running(tmp_path, student.url, teacher.url, **settings) as running:
        running.wait_ready()
        assert running.chat(model="teacher")[0] == 200
        teacher.play(Act(status=500))
        assert running.chat(model="teacher")[0] == 502
        found = figures(running)
    assert (found['spend_today{teacher="teacher"}'], found['spend_limit{teacher="teacher"}']) == (10, 1000)
    assert 0 < found['backend_resting_seconds{backend="teacher"}'] <= 5
    assert found['backend_resting_seconds{backend="student"}'] == 0
