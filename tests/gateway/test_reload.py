"""Settings read again while requests are under way: what holds from then on, and what finishes as it began."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script, environment, free_port

USER = [{"role": "user", "content": "Hi"}]
SLOW = Act(text="word " * 30, pieces=30, pause=0.1)


@pytest.fixture
def other() -> Iterator[Script]:
    with Script(Act(text="other"), model="larger") as script:
        yield script


class School:
    """A gateway whose settings are in a file of its home."""

    def __init__(self, home: Path, student: Script, teacher: Script) -> None:
        self.file = home / "nightschool.toml"
        self.urls = {"student": student.url, "teacher": teacher.url}
        self.write()
        self.gateway = Running(home)

    def write(self, **more: str) -> None:
        """The file: the URLs, and lines for sections."""
        sections = {name: f'url = "{url}"\n' for name, url in self.urls.items()}
        for name, lines in more.items():
            section = name.replace("__", ".")
            sections[section] = sections.get(section, "") + lines + "\n"
        self.file.write_text("".join(f"[{name}]\n{lines}" for name, lines in sections.items()))

    def reload(self, **more: str) -> dict[str, Any]:
        self.write(**more)
        status, told = self.gateway.admin("/admin/reload", b"")
        assert status == 201, told
        return dict(told)

    def text(self, model: str = "nightschool", **body: Any) -> str:
        status, _, answer = self.gateway.chat(model=model, body=body)
        assert status == 200, answer
        return str(answer["choices"][0]["message"]["content"])

    def wait_ready(self) -> None:
        self.gateway.wait(lambda health: health["student"]["ready"] and health["teacher"]["ready"])


@pytest.fixture
def school(tmp_path: Path, student: Script, teacher: Script) -> Iterator[School]:
    made = School(tmp_path, student, teacher)
    with made.gateway:
        made.wait_ready()
        yield made


def test_nothing_changes_where_nothing_did(school: School) -> None:
    assert school.reload() == {"changed": [], "left": []}
    assert school.text() == "student"


def test_rules_and_aliases_hold_from_the_next_request_on(school: School) -> None:
    assert school.text() == "student"
    assert school.gateway.chat(model="big")[0] == 404
    told = school.reload(router='policy = "teacher"', aliases='"big" = "student"')
    assert told["changed"] == ["aliases.big", "aliases.claude-*", "aliases.gpt-*", "router.policy"]
    assert (school.text(), school.text("big")) == ("teacher", "student")
    assert school.gateway.chat(model="gpt-4o")[0] == 404
    school.reload()
    assert (school.text(), school.text("gpt-4o")) == ("student", "student")


def test_limits_and_origins_hold_from_the_next_request_on(school: School, teacher: Script) -> None:
    page = {"origin": "https://app.example"}
    assert school.gateway.chat(headers=page)[0] == 403
    school.reload(gateway='origins = ["https://app.example"]\nmax_seconds = 0.5\nmax_body_bytes = 300\nmax_at_once = 1')
    assert school.gateway.chat(headers=page)[0] == 200
    assert school.gateway.chat("x" * 400)[0] == 413
    teacher.play(Act(hang=True))
    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(lambda _: school.gateway.chat(model="teacher")[0], range(2)))
    assert statuses == [503, 504]
    school.reload()
    assert school.gateway.chat("x" * 400)[0] == 200
    assert school.gateway.chat(headers=page)[0] == 403


def test_prices_and_the_days_limit_hold_from_the_next_request_on(school: School) -> None:
    def spent() -> dict[str, Any]:
        return dict(school.gateway.admin("/admin/status", b"", "GET")[1]["spend"]["teacher"])

    school.text("teacher")
    assert spent()["spent"] == 0
    told = school.reload(teacher="price_input = 1000000\nprice_output = 1\ndaily_limit = 15")
    assert told["changed"] == ["teacher.daily_limit", "teacher.price_input", "teacher.price_output"]
    school.text("teacher")
    school.text("teacher")
    assert (spent()["limit"], int(spent()["spent"])) == (15, 20)
    assert school.gateway.chat(model="teacher")[0] == 429
    school.reload(teacher="price_input = 1\ndaily_limit = 100")
    assert school.text("teacher") == "teacher"
    assert int(spent()["spent"]) == 20


def test_a_stream_ends_at_the_teacher_where_it_began(school: School, teacher: Script, other: Script) -> None:
    teacher.play(SLOW)
    body = {"model": "teacher", "stream": True, "messages": USER}
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(school.gateway.call, "/v1/chat/completions", body)
        time.sleep(0.5)
        school.urls["teacher"] = other.url
        assert school.reload() == {"changed": ["teacher.url"], "left": []}
        assert school.text("teacher") == "other"
        assert school.text("larger") == "other"
        assert school.gateway.chat(model="large")[0] == 404
        assert not stream.done()
        assert teacher.server.connections
        status, _, answer = stream.result(10)
    assert (status, answer.count(b"word"), answer[-14:]) == (200, 30, b"data: [DONE]\n\n")
    end = time.monotonic() + 3
    while teacher.server.connections and time.monotonic() < end:
        time.sleep(0.02)
    assert teacher.server.connections == 0  # its client closes with its last request


def test_another_student_takes_over_with_the_live_adapter(school: School, student: Script, other: Script) -> None:
    folder = school.gateway.home / "models" / "adapters" / "small-1"
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(b"x")
    proposal = {"adapter": "small-1", "path": str(folder), "verdict": {}}
    assert school.gateway.admin("/admin/proposals", proposal)[0] == 201
    school.urls["student"] = other.url
    school.reload()
    school.wait_ready()
    assert school.text("student") == "other"
    assert other.asked[-1].body["model"] == "small-1"
    loaded = [seen for seen in other.server.seen if seen.path.endswith("/load_lora_adapter")]
    assert [seen.body["lora_name"] for seen in loaded] == ["small-1"]
    assert school.gateway.admin("/admin/rollback")[0] == 201
    assert school.text("student") == "other"
    assert other.asked[-1].body["model"] == "larger"


def test_more_teachers_come_and_go(school: School, teacher: Script, other: Script) -> None:
    teacher.play(Act(status=500))
    assert school.gateway.chat(model="teacher")[0] == 502
    told = school.reload(teacher="attempts = 1", teachers__second=f'url = "{other.url}"')
    assert told["changed"] == ["teacher.attempts", "teachers.second"]
    assert school.text("teacher") == "other"
    assert "second" in school.gateway.get("/health")["teachers"]
    school.reload()
    assert school.gateway.chat(model="teacher")[0] == 502
    assert school.gateway.get("/health")["teachers"] == {}


def test_answers_are_not_repeated_across_a_change(school: School) -> None:
    def ask() -> str:
        again = {"x-nightschool-cache": "1"}
        return school.gateway.chat(model="student", body={"temperature": 0}, headers=again)[1]["x-nightschool-reason"]

    assert [ask(), ask()] == ["requested", "cached"]
    school.reload(router="confidence = 0.7")
    assert [ask(), ask()] == ["requested", "cached"]
    school.reload(router="confidence = 0.7", gateway="cache_bytes = 0")
    assert [ask(), ask()] == ["requested", "requested"]


def test_what_cannot_change_is_named_and_left(school: School) -> None:
    fixed = 'server = "granian"\nmemory_bytes = 5\nheartbeat = 3'
    del school.urls["student"]
    told = school.reload(gateway=fixed, student='model = "embedded"')
    assert told["changed"] == ["gateway.heartbeat"]
    assert {"gateway.memory_bytes", "gateway.server", "student.model", "student.url"} == set(told["left"])
    assert school.text() == "student"
    log = school.gateway.log.read_text()
    assert "gateway.memory_bytes" in log
    assert "student.model" in log


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[gateway\n", "not valid TOML"),
        ("[gateway]\nprot = 1\n", "gateway.prot"),
        ('[router]\npolicy = "coin"\n', "router.policy"),
        ('STUDENT[teacher]\nurl = "http://127.0.0.1:9/v1"\napi_key_env = "NO_SUCH_KEY"\n', "NO_SUCH_KEY"),
        ("", "no student and no teacher"),
    ],
)
def test_wrong_settings_change_nothing(school: School, settings: str, words: str) -> None:
    before = school.gateway.get("/health")
    school.file.write_text(settings.replace("STUDENT", f'[student]\nurl = "{school.urls["student"]}"\n'))
    status, told = school.gateway.admin("/admin/reload", b"")
    assert (status, told["error"]["code"]) == (409, "conflict")
    assert words in told["error"]["message"]
    assert words in school.gateway.log.read_text()
    assert school.gateway.get("/health") == before
    assert (school.text(), school.text("teacher")) == ("student", "teacher")
    assert school.reload() == {"changed": [], "left": []}


def test_only_the_admin_may(school: School) -> None:
    assert school.gateway.call("/admin/reload", b"")[0] == 401


def test_sighup_does_the_same(school: School) -> None:
    def hang_up() -> None:
        school.gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)

    school.write(router='policy = "teacher"')
    hang_up()
    assert school.text() == "teacher"
    school.file.write_text("[gateway\n")
    hang_up()
    assert school.text() == "teacher"
    assert "not valid TOML" in school.gateway.log.read_text()
    school.write()
    hang_up()
    assert school.text() == "student"


def test_under_load_no_request_fails(school: School, teacher: Script, student: Script, other: Script) -> None:
    """200 requests, 8 at a time, whole and streamed, while student, teacher and rules change five times."""
    for script in (teacher, student, other):
        script.play(Act(text="fine and well", delay=0.02, pieces=3, pause=0.01))

    def ask(number: int) -> tuple[int, bytes]:
        body = {"model": ("nightschool", "teacher", "student")[number % 3], "messages": USER, "stream": number % 2 == 0}
        status, _, answer = school.gateway.call("/v1/chat/completions", body)
        return status, answer

    urls = [other.url, teacher.url, other.url, teacher.url, other.url]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(200)]
        for number, url in enumerate(urls):
            wanted = 30 * (number + 1)
            while sum(answer.done() for answer in answers) < wanted:
                time.sleep(0.01)
            school.urls["teacher"] = url
            school.urls["student"] = other.url if number == 2 else student.url
            school.reload(router=f"confidence = 0.{number + 1}", teacher=f"silence = {number + 5}")
        found = [answer.result(30) for answer in answers]
    assert {status for status, _ in found} == {200}
    assert all(b"fine" in body and b'"error"' not in body for _, body in found)
    _, headers, _ = school.gateway.chat(body={"messages": USER})
    assert school.gateway.trace(headers)["decision"]["threshold"] == 0.5
    assert school.gateway.get("/health")["teacher"]["model"] == "larger"


def test_a_gateway_leaves_when_its_terminal_is_closed(tmp_path: Path, student: Script, teacher: Script) -> None:
    """As a shell does that is told to hang up: the signal comes after the terminal is gone."""
    urls = {"NIGHTSCHOOL_STUDENT_URL": student.url, "NIGHTSCHOOL_TEACHER_URL": teacher.url}
    port = free_port()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)],
        env=environment(tmp_path, **urls),
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    reached = False
    while not reached:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            reached = True
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None  # while the terminal is there the settings are read
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(10) == 0
