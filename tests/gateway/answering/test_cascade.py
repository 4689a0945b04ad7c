"""The cascade over real sockets: who answers, what the client sees, what the trace says."""

from __future__ import annotations

import socket
import time

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import READ_FILE, Running, Script

GOOD_CALL = ("read_file", '{"path": "a.py"}')


def with_tools(**more: object) -> dict[str, object]:
    return {"tools": [READ_FILE], **more}


def test_a_verified_text_of_the_student_is_served(gateway: Running, student: Script, teacher: Script) -> None:
    status, headers, answer = gateway.chat()
    assert (status, headers["x-nightschool-served-by"], headers["x-nightschool-reason"]) == (200, "student", "verified")
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "student", "refusal": None}
    assert answer["choices"][0]["logprobs"] is None
    assert "prompt_token_ids" not in answer
    assert not teacher.asked


def test_a_verified_call_is_served_under_an_id_of_the_students(gateway: Running, student: Script) -> None:
    student.play(Act(calls=[GOOD_CALL]))
    _, headers, answer = gateway.chat(body=with_tools())
    call = answer["choices"][0]["message"]["tool_calls"][0]
    assert headers["x-nightschool-served-by"] == "student"
    assert call["function"] == {"name": "read_file", "arguments": '{"path": "a.py"}'}
    assert call["id"].startswith("call_s")
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Act(calls=[("read_file", '{"path": 3}')]), "unverified"),
        (Act(calls=[("read_file", '{"path": "a.py"')]), "unverified"),
        (Act(calls=[("delete_file", "{}")]), "unverified"),
        (Act(calls=[GOOD_CALL], finish="length"), "unverified"),
        (Act(text='<tool_call>{"name": "read_file"'), "unverified"),
        (Act(text=" "), "unverified"),
        (Act(calls=[GOOD_CALL], logprob=-2.0), "doubtful"),
        (Act(calls=[GOOD_CALL], logprob=None), "doubtful"),
        (Act(status=500), "student_failed"),
        (Act(status=400), "student_failed"),
        (Act(drop=True), "student_failed"),
        (Act(text="student", cut=40), "student_failed"),
        (Act(raw=b"not json"), "student_failed"),
        (Act(text="student", stall=40), "student_failed"),
        (Act(hang=True), "student_failed"),
    ],
)
def test_what_is_not_good_enough_is_answered_by_the_teacher(
    gateway: Running, student: Script, act: Act, reason: str
) -> None:
    student.play(act)
    status, headers, answer = gateway.chat(body=with_tools())
    assert (status, headers["x-nightschool-served-by"], headers["x-nightschool-reason"]) == (200, "teacher", reason)
    assert answer["choices"][0]["message"]["content"] == "teacher"


def test_the_rejected_draft_is_in_the_trace_and_nowhere_else(
    gateway: Running, student: Script, teacher: Script
) -> None:
    student.play(Act(calls=[("delete_file", "{}")]))
    _, headers, answer = gateway.chat(body=with_tools())
    trace = gateway.trace(headers)
    assert trace["draft"]["message"]["tool_calls"][0]["function"]["name"] == "delete_file"
    assert trace["decision"]["detail"] == "unknown tool: delete_file"
    assert trace["answer"]["content"] == "teacher"
    assert trace["usage"] == answer["usage"]
    assert "delete_file" not in msgspec.json.encode(teacher.asked[0].body).decode()


def test_the_trace_of_a_students_answer_holds_what_it_was_made_of(gateway: Running) -> None:
    _, headers, _ = gateway.chat("What?", headers={"x-nightschool-conversation": "conv-1"})
    trace = gateway.trace(headers)
    assert (trace["state"], trace["conversation"], trace.get("turn", 0)) == ("completed", "conv-1", 0)
    assert trace["request"]["messages"] == [{"role": "user", "content": "What?"}]
    assert trace["served"] == {"prompt": [1, 2, 3], "completion": [0, 1]}
    assert trace["draft"]["logprobs"]
    assert trace["decision"]["scores"]["confidence"] == pytest.approx(0.99, abs=0.01)
    assert set(trace["seconds"]) == {"draft", "first_byte", "total", "overhead"}


def test_a_request_that_forbids_it_is_not_traced(gateway: Running) -> None:
    _, headers, _ = gateway.chat(headers={"x-nightschool-no-trace": "1"})
    status, _, body = gateway.call(f"/v1/traces/{headers['x-nightschool-trace']}", b"", "GET")
    assert status == 404
    assert b"not_found" in body


def test_traces_are_in_the_store_within_the_promised_time(gateway: Running) -> None:
    before = gateway.get("/health")["traces"]["written"]
    gateway.chat()
    time.sleep(0.2)
    assert gateway.get("/health")["traces"]["written"] > before


@pytest.mark.parametrize("name", ["student", "teacher", "small", "large"])
def test_a_request_may_name_its_model(gateway: Running, name: str) -> None:
    status, headers, answer = gateway.chat(model=name)
    arm = {"small": "student", "large": "teacher"}.get(name, name)
    assert (status, headers["x-nightschool-reason"], headers["x-nightschool-served-by"]) == (200, "requested", arm)
    assert answer["choices"][0]["message"]["content"] == arm


def test_what_agents_insist_on_is_an_alias(gateway: Running) -> None:
    assert gateway.chat(model="gpt-4o")[0] == 200


@pytest.mark.parametrize(
    ("more", "lacking"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format json_schema"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
    ],
)
def test_what_the_student_cannot_do_goes_to_the_teacher(
    gateway: Running, teacher: Script, more: dict[str, object], lacking: str
) -> None:
    _, headers, _ = gateway.chat(body=more)
    assert headers["x-nightschool-reason"] == "capability"
    assert gateway.trace(headers)["decision"]["detail"] == lacking


def test_the_teacher_keeps_a_turn_it_took_over_until_the_next_user_message(gateway: Running) -> None:
    def history(call_id: str) -> list[dict[str, object]]:
        call = {"id": call_id, "type": "function", "function": {"name": "read_file", "arguments": '{"path": "b"}'}}
        return [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "text"},
        ]

    _, headers, _ = gateway.chat(body=with_tools(messages=history("call_abc")))
    assert headers["x-nightschool-reason"] == "sticky"
    _, headers, _ = gateway.chat(body=with_tools(messages=history("call_s123")))
    assert headers["x-nightschool-served-by"] == "student"
    again = [*history("call_abc"), {"role": "assistant", "content": "Done."}, {"role": "user", "content": "And?"}]
    _, headers, _ = gateway.chat(body=with_tools(messages=again))
    assert headers["x-nightschool-served-by"] == "student"


def test_parameters_we_do_not_know_reach_the_teacher_and_the_clients_key_does_not(
    gateway: Running, teacher: Script
) -> None:
    gateway.chat(model="teacher", body={"verbosity": "low"}, headers={"authorization": "Bearer secret-of-the-client"})
    assert teacher.asked[-1].body["verbosity"] == "low"
    assert teacher.asked[-1].body["model"] == "large"
    assert "authorization" not in teacher.asked[-1].headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_cancels_the_work(gateway: Running, teacher: Script, stream: bool) -> None:
    teacher.play(Act(text="x" * 200, hang=not stream, pause=0.2, pieces=50))
    body = msgspec.json.encode(
        {"model": "teacher", "stream": stream, "messages": [{"role": "user", "content": f"go {stream}"}]}
    )
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(head.encode() + body)
        end = time.monotonic() + 5
        while not teacher.asked and time.monotonic() < end:
            time.sleep(0.01)
        begun = client.recv(2000).decode() if stream else ""
    end = time.monotonic() + 1
    while not teacher.asked[-1].gone and time.monotonic() < end:
        time.sleep(0.01)
    assert teacher.asked[-1].gone
    if stream:
        trace_id = begun.split("x-nightschool-trace: ")[1].split("\r\n")[0]
        assert gateway.trace({"x-nightschool-trace": trace_id})["state"] == "aborted"


def test_a_teacher_that_is_slow_is_waited_for_with_heartbeats(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="late", delay=1.5))
    status, headers, body = gateway.call(
        "/v1/chat/completions",
        {"model": "teacher", "stream": True, "messages": [{"role": "user", "content": "Hi"}]},
    )
    assert (status, headers["x-nightschool-served-by"]) == (200, "pending")
    assert body.count(b": still working\n\n") >= 2
    final = next(line for line in body.split(b"\n\n") if b'"finish_reason":"stop"' in line)
    noted = msgspec.json.decode(final[6:])["nightschool"]
    assert (noted["served_by"], noted["reason"]) == ("teacher", "requested")
    assert body.endswith(b"data: [DONE]\n\n")
