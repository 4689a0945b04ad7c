"""The log of a real gateway: a line for each request, JSON where it should be, and never what was said or a key."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import ROOT, Running, Script, environment, free_port, new_key
from tests.gateway.watching.seen import ended, lines, requests, until

SAID, ANSWERED, ECHOED = "tapir-question", "tapir-answer", "tapir-echo"
UPSTREAM_KEY = "sk-upstream-tapir"
ECHO = msgspec.json.encode({"error": {"message": f"I do not like '{ECHOED}'", "type": "x", "code": ECHOED}})


@contextmanager
def keyed(home: Path, student: Script, teacher: Script, **settings: Any) -> Iterator[Running]:
    """A gateway with a key of its own and one of its teacher's."""
    secret = new_key(home, "alice")
    limits = {"teacher__attempts": 1, "teacher__failures": 0, "teacher__api_key_env": "UPSTREAM"}
    os.environ["UPSTREAM"] = UPSTREAM_KEY
    try:
        with Running(home, student.url, teacher.url, **limits, **settings) as running:
            running.key = secret
            running.wait_ready()
            yield running
    finally:
        del os.environ["UPSTREAM"]


def ask_everything(gateway: Running, student: Script, teacher: Script) -> int:
    """Requests of every outcome, with words that no log should tell; how many turns they were."""
    student.play(Act(text=ANSWERED))
    assert gateway.chat(SAID)[0] == 200
    student.play(Act(text=ANSWERED, logprob=-5.0))
    teacher.play(Act(text=ANSWERED), Act(status=400, body=ECHO), Act(text=ANSWERED * 20, pieces=20, cut=600))
    assert gateway.chat(SAID)[0] == 200
    assert gateway.chat(SAID, model="teacher")[0] == 400
    body = {"model": "teacher", "messages": [{"role": "user", "content": SAID}]}
    assert b"backend_broken" in gateway.call("/v1/chat/completions", {**body, "stream": True})[2]
    teacher.play(Act(text=ANSWERED, raw=b'{"error": {"message": "' + ECHOED.encode() + b'"}}'))
    assert gateway.chat(SAID, model="teacher")[0] == 502
    assert gateway.chat(SAID, model=SAID)[0] == 404
    assert gateway.chat(SAID, headers={"authorization": "Bearer ns-tapir-wrong"})[0] == 401
    assert gateway.call("/v1/chat/completions", f'{{"{SAID}'.encode())[0] == 400
    assert gateway.call("/v1/chat/completions", {"model": "teacher", "messages": SAID})[0] == 400
    return 5


@pytest.mark.parametrize("form", ["json", "text", "auto", "off"])
def test_no_log_tells_what_was_said_or_a_key(form: str, student: Script, teacher: Script, tmp_path: Path) -> None:
    with keyed(tmp_path, student, teacher, gateway__log=form) as gateway:
        turns = ask_everything(gateway, student, teacher)
        until(gateway, lambda found: ended(found) == turns)
        admin = (tmp_path / "data" / "admin.key").read_text()
        gateway.admin("/admin/status", b"", "GET")
    log = gateway.log.read_text()
    assert "broken off" in log  # what goes wrong is told whatever is set
    assert log.count("verified") == (0 if form == "off" else 1)
    for secret in ("tapir", gateway.key, gateway.key[3:], admin, "Bearer"):
        assert secret not in log, log


def test_a_line_for_each_request(student: Script, teacher: Script, tmp_path: Path) -> None:
    with keyed(tmp_path, student, teacher, gateway__log="json") as gateway:
        turns = ask_everything(gateway, student, teacher)
        until(gateway, lambda found: ended(found) == turns)
        served, rejected, refused, cut, broken = requests(gateway)
        trace = gateway.get("/v1/traces/" + rejected["trace"])
    known = {"event": "request", "level": "info", "client": "alice", "wire": "chat"}
    assert all(line[name] == value for line in requests(gateway) for name, value in known.items())
    assert (served["arm"], served["reason"], served["state"]) == ("student", "verified", "completed")
    assert (served["model"], served["prompt_tokens"], served["completion_tokens"]) == ("small", 10, 3)
    assert (rejected["arm"], rejected["reason"], rejected["model"]) == ("teacher", "doubtful", "large")
    assert rejected["seconds"] == trace["seconds"]
    assert set(rejected["seconds"]) == {"total", "draft", "teacher", "first_byte", "overhead"}
    assert (refused["state"], refused["error"]) == ("failed", "BackendRefused")
    assert (cut["state"], cut["error"]) == ("failed", "BackendBroken")
    assert (broken["state"], broken["error"]) == ("failed", "BackendBroken")
    told = next(line for line in lines(gateway) if line["event"] == "stream broken off")
    assert (told["trace"], told["error"], told["level"]) == (cut["trace"], "BackendBroken", "warning")


def test_content_is_logged_if_asked_for_and_not_where_a_client_forbids_it(
    student: Script, teacher: Script, tmp_path: Path
) -> None:
    with keyed(tmp_path, student, teacher, gateway__log_content="true") as gateway:
        student.play(Act(text=ANSWERED))
        gateway.chat(SAID)
        gateway.chat(SAID, headers={"x-nightschool-no-trace": "1"})
        teacher.play(Act(status=400, body=ECHO))
        gateway.chat(SAID, model="teacher")
        until(gateway, lambda found: ended(found) == 3)
    first, *_ = lines(gateway)
    assert first["level"] == "warning"
    assert "gateway.log_content is true" in first["event"]
    asked, private, refused = requests(gateway)
    assert asked["request"] == [{"role": "user", "content": SAID}]
    assert asked["answer"]["content"] == ANSWERED
    assert ECHOED in refused["message"]
    assert not {"request", "answer", "message"} & private.keys()
    log = gateway.log.read_text()
    for secret in (gateway.key, UPSTREAM_KEY, "Bearer"):
        assert secret not in log


def test_a_terminal_gets_text(tmp_path: Path, student: Script, teacher: Script) -> None:
    """With stderr on a pseudo-terminal; where it is a file the other tests see JSON."""
    import pty

    leader, follower = pty.openpty()
    told = b""
    with started(tmp_path, follower, student.url, teacher.url) as gateway:
        os.close(follower)
        assert gateway.chat(SAID)[0] == 200
        while b"state=" not in told.replace(b"\x1b[0m", b""):
            told += os.read(leader, 10_000)
    os.close(leader)
    assert b"Nightschool serves http" in told
    assert b'{"' not in told


def test_a_log_that_cannot_be_written_costs_no_answer(tmp_path: Path, student: Script, teacher: Script) -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        started(tmp_path, full.fileno(), student.url, teacher.url) as gateway,
    ):
        for _ in range(50):
            assert gateway.chat(SAID)[0] == 200
        assert ended(until(gateway, lambda found: ended(found) == 50)) == 50


class _Started(Running):
    """A gateway whose stderr is given."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path, port: int) -> None:
        self.process, self.home, self.port, self.key = process, home, port, ""
        self.url = f"http://127.0.0.1:{port}"
        self.log = home / "none.log"
        self.log.touch()


@contextmanager
def started(home: Path, stderr: int, student: str, teacher: str) -> Iterator[Running]:
    port = free_port()
    variables = {"GATEWAY_PORT": str(port), "STUDENT_URL": student, "TEACHER_URL": teacher}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve"],
        env=environment(home, **{f"NIGHTSCHOOL_{name}": value for name, value in variables.items()}),
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    with _Started(process, home, port) as gateway:
        gateway.wait_ready()
        yield gateway


_TRACEBACK = """\
import asyncio, logging, structlog
from gateway.watching import logs
from gateway.api.replies import send_error
from gateway.sections import GatewaySettings

async def main():
    async def send(message): pass
    try:
        try:
            {}["tapir-key"]
        except KeyError as error:
            raise ValueError("tapir-value") from error
    except ValueError as error:
        await send_error(send, error, trace="trace-1")
    logging.getLogger("asyncio").error("Task exception was never retrieved\\nexception=KeyError('tapir')")

logs.configure_gateway(GatewaySettings(log="json", log_content=CONTENT))
asyncio.run(main())
"""


@pytest.mark.parametrize("content", [False, True])
def test_a_traceback_has_its_trace_and_tells_no_words(content: bool) -> None:
    code = _TRACEBACK.replace("CONTENT", str(content))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    *_, unexpected, library = [msgspec.json.decode(line) for line in done.stderr.splitlines()]
    assert (unexpected["event"], unexpected["trace"], unexpected["level"]) == ("unexpected", "trace-1", "error")
    for part in ('File "<string>"', "KeyError", "ValueError"):
        assert part in unexpected["exception"]
    assert ("tapir" in unexpected["exception"]) is content
    assert (library["event"], library["logger"]) == ("Task exception was never retrieved", "asyncio")
