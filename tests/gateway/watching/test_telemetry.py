"""Traces of a real gateway as a real collector gets them, with the names of OpenTelemetry's conventions."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script, environment, free_port
from tests.gateway.watching.collector import Collector, values
from tests.gateway.watching.seen import ended, figures, lines, requests, until

ERROR, UNSET = Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"
LIMITS: dict[str, Any] = {"teacher__attempts": 1, "teacher__failures": 0, "student__failures": 0}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    student: Script, teacher: Script, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with quick(home, student.url, teacher.url, telemetry__otlp_endpoint=collector.url) as running:
        running.wait_ready()
        yield running


def quick(home: Path, student: str, teacher: str, **settings: Any) -> Running:
    """A gateway that sends spans every 100 ms, by the SDK's own variable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        return Running(home, student, teacher, **LIMITS, **settings)


def loads_the_sdk(gateway: Running) -> bool:
    """Whether the process has loaded what spans are encoded with; Linux tells."""
    return "google/_upb" in Path(f"/proc/{gateway.process.pid}/maps").read_text()


def test_a_rejected_draft_and_the_teachers_answer(
    traced: Running, collector: Collector, student: Script, teacher: Script
) -> None:
    collector.spans.clear()
    student.play(Act(text="unsure!!", logprob=-5.0, delay=0.1))
    teacher.play(Act(text="teacher", delay=0.2))
    asked = {"temperature": 0.5, "max_tokens": 99}
    _, headers, body = traced.chat(body=asked, headers={"x-nightschool-conversation": "c-1"})
    root, draft, answer = collector.wait(3)
    assert [(span.name, span.kind) for span in (root, draft, answer)] == [
        ("chat nightschool", Span.SPAN_KIND_SERVER),
        ("chat small", Span.SPAN_KIND_CLIENT),
        ("chat large", Span.SPAN_KIND_CLIENT),
    ]
    assert draft.parent_span_id == answer.parent_span_id == root.span_id
    assert draft.trace_id == answer.trace_id == root.trace_id
    assert root.parent_span_id == b""
    assert {span.status.code for span in (root, draft, answer)} == {UNSET}
    told = values(root)
    assert 0 < told.pop("nightschool.overhead") < 0.1
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "nightschool",
        "gen_ai.conversation.id": "c-1",
        "gen_ai.request.model": "nightschool",
        "gen_ai.request.stream": False,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.response.model": "large",
        "gen_ai.response.id": body["id"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": traced.port,
        "nightschool.trace": headers["x-nightschool-trace"],
        "nightschool.wire": "chat",
        "nightschool.arm": "teacher",
        "nightschool.reason": "doubtful",
        "nightschool.state": "completed",
    }
    of_draft = values(draft)
    assert of_draft["gen_ai.provider.name"] == "openai"
    assert (of_draft["server.address"], of_draft["server.port"]) == ("127.0.0.1", student.server.port)
    assert (of_draft["nightschool.draft"], of_draft["nightschool.reason"]) == (True, "doubtful")
    assert of_draft["gen_ai.response.model"] == of_draft["gen_ai.request.model"] == "small"
    assert (values(answer)["nightschool.draft"], values(answer)["nightschool.backend"]) == (False, "teacher")
    assert seconds(draft) == pytest.approx(0.1, abs=0.08)
    assert seconds(answer) == pytest.approx(0.2, abs=0.08)
    assert root.start_time_unix_nano <= draft.start_time_unix_nano
    assert draft.end_time_unix_nano <= answer.start_time_unix_nano
    assert answer.end_time_unix_nano <= root.end_time_unix_nano
    assert abs(root.start_time_unix_nano / 1e9 - time.time()) < 30
    assert collector.resource["service.name"] == "nightschool"


def seconds(span: Span) -> float:
    return float((span.end_time_unix_nano - span.start_time_unix_nano) / 1e9)


def test_a_stream_lasts_until_its_end(traced: Running, collector: Collector, teacher: Script) -> None:
    collector.spans.clear()
    teacher.play(Act(text="word " * 10, pieces=10, pause=0.04, delay=0.1))
    body = {"model": "teacher", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    traced.call("/v1/chat/completions", body)
    root, answer = collector.wait(2)
    for span in (root, answer):
        assert seconds(span) > 0.5
        assert 0.1 < values(span)["gen_ai.response.time_to_first_chunk"] < 0.4
        assert values(span)["gen_ai.request.stream"] is True
        assert values(span)["gen_ai.usage.output_tokens"] == 13


def test_errors_have_their_class_and_status(
    traced: Running, collector: Collector, student: Script, teacher: Script
) -> None:
    collector.spans.clear()
    student.play(Act(drop=True))
    teacher.play(Act(status=400, body=b'{"error": {"message": "tapir"}}'))
    assert traced.chat()[0] == 400
    root, draft, answer = collector.wait(3)
    assert [span.status.code for span in (root, draft, answer)] == [ERROR] * 3
    assert [values(span)["error.type"] for span in (root, draft, answer)] == [
        "BackendRefused",
        "BackendBroken",
        "BackendRefused",
    ]
    assert values(root)["nightschool.state"] == "failed"
    assert not any("tapir" in str(span) for span in collector.spans)


def test_each_teacher_that_was_asked_has_a_span(collector: Collector, student: Script, tmp_path: Path) -> None:
    collector.spans.clear()
    file = tmp_path / "nightschool.toml"
    with Script(Act(status=503), model="one") as one, Script(Act(text="two"), model="two") as two:
        file.write_text(f'[teachers.second]\nurl = "{two.url}"\n')
        with quick(tmp_path, student.url, one.url, telemetry__otlp_endpoint=collector.url) as gateway:
            gateway.wait(lambda health: health["teachers"]["second"]["ready"])
            assert gateway.chat(model="teacher")[0] == 200
            spans = collector.wait(3)
    assert [values(span).get("nightschool.backend") for span in spans] == [None, "teacher", "second"]
    assert [span.status.code for span in spans] == [UNSET, ERROR, UNSET]


def test_the_clients_own_span_is_the_parent(traced: Running, collector: Collector) -> None:
    collector.spans.clear()
    traced.chat(headers={"traceparent": PARENT.format(flags="01")})
    root, _ = collector.wait(2)
    assert root.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    collector.spans.clear()
    traced.chat(headers={"traceparent": PARENT.format(flags="00")})  # its trace is not to be recorded
    traced.chat(headers={"traceparent": "nonsense"})
    root, _ = collector.wait(2)
    assert root.parent_span_id == b""
    time.sleep(0.5)
    assert len(collector.spans) == 2


def test_no_backend_is_told_of_the_trace(
    traced: Running, collector: Collector, student: Script, teacher: Script
) -> None:
    collector.spans.clear()
    student.play(Act(text="unsure", logprob=-5.0))
    traced.chat(headers={"traceparent": PARENT.format(flags="01"), "tracestate": "a=b"})
    for seen in (student.asked[-1], teacher.asked[-1]):
        assert not {"traceparent", "tracestate"} & seen.headers.keys()
    collector.wait(3)


def test_numbers_that_no_span_can_hold_cost_no_other_span(traced: Running, collector: Collector) -> None:
    collector.spans.clear()
    assert traced.chat(body={"seed": 2**70})[0] == 200
    traced.chat()
    assert len(collector.wait(4)) == 4


def test_words_are_told_only_if_asked_for(
    collector: Collector, student: Script, teacher: Script, tmp_path: Path
) -> None:
    collector.spans.clear()
    settings = {"telemetry__otlp_endpoint": collector.url, "gateway__log_content": "true"}
    with quick(tmp_path, student.url, teacher.url, **settings) as gateway:
        gateway.wait_ready()
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        history = [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "tapir?"}, {"type": "image_url", "image_url": {"url": "x"}}],
            },
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        ]
        gateway.call("/v1/chat/completions", {"model": "teacher", "messages": history})
        root, answer = collector.wait(2)
        gateway.chat("tapir", headers={"x-nightschool-no-trace": "1"})
        private = collector.wait(4)[2:]
    told = values(root)
    assert msgspec.json.decode(told["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "tapir?"}, {"type": "image_url"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "call_1", "name": "f", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "found"}]},
    ]
    assert msgspec.json.decode(told["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "teacher"}], "finish_reason": "stop"}
    ]
    assert "gen_ai.input.messages" not in values(answer)
    assert not any("tapir" in str(span) for span in private)


def test_no_words_leave_by_default(traced: Running, collector: Collector) -> None:
    collector.spans.clear()
    traced.chat("tapir")
    assert not any("tapir" in str(span) for span in collector.wait(2))


@pytest.mark.parametrize("silent", [False, True])
def test_a_collector_that_is_down_costs_nothing_and_is_told_of_once(
    silent: bool, student: Script, teacher: Script, tmp_path: Path
) -> None:
    """Nobody listens; or somebody does and never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        if silent:
            deaf.listen()
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with quick(tmp_path, student.url, teacher.url, telemetry__otlp_endpoint=endpoint) as gateway:
            gateway.wait_ready()
            start, slowest = time.monotonic(), 0.0
            while time.monotonic() < start + 8:  # two batches and their attempts
                before = time.monotonic()
                assert gateway.chat()[0] == 200
                slowest = max(slowest, time.monotonic() - before)
                time.sleep(0.02)
            found = figures(gateway)
            leaving = time.monotonic()
    left = time.monotonic() - leaving
    assert slowest < 0.5
    assert ended(found) == len(requests(gateway))
    problems = [line for line in lines(gateway) if line["level"] in ("warning", "error")]
    assert [(line["event"], line["collector"]) for line in problems] == [
        ("spans are lost: the collector does not take them", "127.0.0.1")
    ]
    assert left < 6


def test_what_waits_at_the_stop_is_sent(student: Script, teacher: Script, tmp_path: Path) -> None:
    with Collector() as collector:
        with Running(tmp_path, student.url, teacher.url, telemetry__otlp_endpoint=collector.url) as gateway:
            gateway.wait_ready()
            gateway.chat()
            until(gateway, lambda found: ended(found) == 1)
            assert sys.platform != "linux" or loads_the_sdk(gateway)
        assert len(collector.spans) == 2


def test_nothing_is_sent_and_nothing_loaded_without_an_endpoint(
    collector: Collector, student: Script, teacher: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = collector.posts
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)  # only the setting counts
    with Running(tmp_path, student.url, teacher.url) as gateway:
        gateway.wait_ready()
        gateway.chat()
        until(gateway, lambda found: ended(found) == 1)
        assert sys.platform != "linux" or not loads_the_sdk(gateway)
    assert collector.posts == posts


def test_missing_packages_are_named(tmp_path: Path) -> None:
    """Where the SDK cannot be imported, as in an installation without the extra."""
    hidden = "import sys; sys.modules['opentelemetry.sdk'] = None; from gateway.cli import main; main()"
    endpoints = {"TELEMETRY_OTLP_ENDPOINT": "http://127.0.0.1:1", "TEACHER_URL": "http://127.0.0.1:9/v1"}
    given = {**endpoints, "ROUTER_POLICY": "teacher", "GATEWAY_PORT": str(free_port())}
    variables = environment(tmp_path, **{f"NIGHTSCHOOL_{name}": value for name, value in given.items()})
    command = [sys.executable, "-c", hidden, "serve"]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "telemetry.otlp_endpoint" in done.stderr
    assert "extra 'otel'" in done.stderr
    assert "Traceback" not in done.stderr
