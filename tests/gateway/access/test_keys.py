"""Keys: what is kept of them, who is let in with which, and what each may see. A real gateway and the real command."""

from __future__ import annotations

import hashlib
import re
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import AuthenticationError, OpenAI

from distill.day import Day
from gateway.access.keys import KeyRing, read_keys
from gateway.backends.scripted import Act
from gateway.processes.child import answers
from tests.gateway.running import ROOT, Running, Script, new_key, nightschool

USER = [{"role": "user", "content": "Hi"}]


class Keyed(Running):
    """A gateway with the keys of `alice` and `bob`; bob may ask for the student and for large models only."""

    alice = ""
    bob = ""


@pytest.fixture(scope="module")
def keyed(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    home = tmp_path_factory.mktemp("home")
    alice, bob = new_key(home, "alice"), new_key(home, "bob", "--model", "student", "--model", "lar*")
    with Keyed(home, student.url, teacher.url) as running:
        running.alice, running.bob = alice, bob
        running.key = alice
        running.wait_ready()
        yield running


@pytest.fixture(autouse=True)
def as_alice(request: pytest.FixtureRequest) -> None:
    if "keyed" in request.fixturenames:
        running = request.getfixturevalue("keyed")
        running.key = running.alice


def error_of(answer: bytes) -> dict[str, Any]:
    error: dict[str, Any] = msgspec.json.decode(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_key_is_printed_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    secret = new_key(tmp_path, "agent")
    assert re.fullmatch(r"ns-[A-Za-z0-9_-]{43}", secret)  # 32 bytes in base64
    file = tmp_path / "data" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret.encode() not in everything_in(tmp_path)
    assert secret[3:].encode() not in everything_in(tmp_path)
    assert [key.digest for key in read_keys(file)] == [hashlib.sha256(secret.encode()).hexdigest()]
    listed = nightschool("keys", "list", home=tmp_path)
    assert "agent" in listed.stdout
    assert secret not in listed.stdout + listed.stderr
    assert new_key(tmp_path, "other") != secret


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "agent"), "already"),
        (("add", "admin"), "cannot be a key's name"),
        (("add", "../agent"), "cannot be a key's name"),
        (("add", "new", "--rate", "many"), "60/min"),
        (("remove", "nobody"), "there are: agent"),
    ],
)
def test_what_cannot_be_done_with_keys_is_said(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    new_key(tmp_path, "agent")
    done = nightschool("keys", *arguments, home=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert [key.name for key in read_keys(tmp_path / "data" / "keys.json")] == ["agent"]


def test_the_list_tells_what_a_key_may_and_may_not(tmp_path: Path) -> None:
    new_key(tmp_path, "agent", "--no-record", "--stays-here", "--rate", "90/min", "--at-once", "7", "--model", "gp*")
    words = nightschool("keys", "list", home=tmp_path, COLUMNS="200").stdout
    assert re.search(r"agent .* record, leave .* 90 .* 7 .* gp\*", words), words


def test_keys_made_in_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    names = [f"agent{number}" for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: new_key(tmp_path, name), names))
    assert sorted(key.name for key in read_keys(tmp_path / "data" / "keys.json")) == names


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_key_opens_and_none_or_a_wrong_one_does_not(keyed: Keyed, header: str) -> None:
    shown = {"authorization": f"Bearer {keyed.key}", "x-api-key": keyed.key}[header]
    keyed.key = ""
    assert keyed.chat(headers={header: shown})[0] == 200
    for wrong in (shown[:-1], shown + "x", shown.lower(), "", "Bearer "):
        status, _, answer = keyed.call(
            "/v1/chat/completions", {"model": "nightschool", "messages": USER}, headers={header: wrong}
        )
        assert status == 401
        error = error_of(answer)
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
        assert keyed.alice not in error["message"]


def test_every_route_under_v1_wants_a_key(keyed: Keyed) -> None:
    page = (ROOT / "docs" / "http.md").read_text().partition("## An engine's own wire")[0]
    routes = re.findall(r"^\| `(GET|POST|DELETE) (/v1/[^`]*)`", page, re.MULTILINE)
    assert ("POST", "/v1/chat/completions") in routes
    for method, path in routes:
        payload = {"model": "nightschool"} if method == "POST" else b""
        status, _, answer = keyed.call(path, payload, method, {"authorization": "Bearer wrong"})
        assert status == 401, (method, path, answer)


def test_the_client_of_openai_raises_its_own_error(keyed: Keyed) -> None:
    with OpenAI(base_url=keyed.url + "/v1", api_key=keyed.alice, max_retries=0) as client:
        assert client.chat.completions.create(model="nightschool", messages=USER).choices  # type: ignore[arg-type]
    with OpenAI(base_url=keyed.url + "/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(AuthenticationError):
            client.chat.completions.create(model="nightschool", messages=USER)  # type: ignore[arg-type]
        with pytest.raises(AuthenticationError):
            client.models.list()


def test_a_large_body_without_a_key_is_refused_so_that_the_client_sees_why(keyed: Keyed) -> None:
    keyed.key = ""
    assert keyed.chat("x" * 20_000_000)[0] == 401


def test_strangers_learn_from_health_only_that_it_is_there(keyed: Keyed) -> None:
    assert keyed.get("/health")["student"]["ready"]
    keyed.key = "ns-wrong"
    assert keyed.get("/health") == {"status": "ok"}


def test_a_clients_key_opens_no_admin_call(keyed: Keyed) -> None:
    for wrong in (keyed.alice, "", "wrong"):
        status, _, answer = keyed.call("/admin/status", b"", "GET", {"authorization": f"Bearer {wrong}"})
        assert (status, error_of(answer)["code"]) == (401, "invalid_api_key")
    assert keyed.admin("/admin/status", b"", "GET")[0] == 200


def test_a_trace_is_seen_by_the_key_that_made_it_and_by_the_admin(keyed: Keyed) -> None:
    _, headers, _ = keyed.chat()
    assert keyed.trace(headers)["client"] == "alice"
    path = "/v1/traces/" + headers["x-nightschool-trace"]
    status, _, answer = keyed.call(path, b"", "GET", {"authorization": f"Bearer {keyed.bob}"})
    unknown = keyed.call("/v1/traces/trace-none", b"", "GET", {"authorization": f"Bearer {keyed.bob}"})
    assert (status, error_of(answer)["code"]) == (404, "not_found")
    assert answer.replace(headers["x-nightschool-trace"].encode(), b"trace-none") == unknown[2]
    time.sleep(0.3)  # from the store, too
    assert keyed.call(path, b"", "GET", {"authorization": f"Bearer {keyed.bob}"})[0] == 404
    assert keyed.admin(path, b"", "GET")[0] == 200


async def test_the_night_comes_in_with_the_admin_key(keyed: Keyed, tmp_path: Path) -> None:
    assert await answers(keyed.url, keyed.home / "data")
    assert not await answers(keyed.url, tmp_path)  # another home's gateway
    async with Day.of_home(keyed.url, keyed.home / "data") as day, day.client() as client:
        answer = await client.chat.completions.create(model="teacher", messages=USER)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == "teacher"


def test_the_exploring_agent_shows_its_key(keyed: Keyed, tmp_path: Path) -> None:
    arguments = ("ask", "What?", "--repo", ".", "--base-url", keyed.url + "/v1")
    assert nightschool(*arguments, home=tmp_path).returncode == 1
    done = nightschool(*arguments, "--api-key-env", "AGENT_KEY", home=tmp_path, AGENT_KEY=keyed.alice)
    assert (done.returncode, done.stdout.strip()) == (0, "student"), done.stderr


def test_a_key_sees_and_gets_the_models_it_may_have(keyed: Keyed) -> None:
    assert {entry["id"] for entry in keyed.get("/v1/models")["data"]} >= {"nightschool", "student", "small", "large"}
    keyed.key = keyed.bob
    assert {entry["id"] for entry in keyed.get("/v1/models")["data"]} == {"student", "large"}
    assert keyed.chat(model="student")[0] == keyed.chat(model="large")[0] == 200
    absent = keyed.chat(model="absent")
    for model in ("nightschool", "teacher", "small", "gpt-4o"):
        status, _, answer = keyed.chat(model=model)
        assert (status, answer["error"]["code"]) == (404, "model_not_found")
        assert answer["error"]["message"] == absent[2]["error"]["message"].replace("absent", model)
        assert keyed.call(f"/v1/models/{model}", b"", "GET")[0] == 404
    assert keyed.get("/v1/models/large")["id"] == "large"


def eventually(ask: Any, wanted: int, seconds: float = 2.0) -> None:
    end = time.monotonic() + seconds
    while (status := ask()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert status == wanted


def test_a_running_gateway_takes_up_keys_as_they_come_and_go(tmp_path: Path, student: Script, teacher: Script) -> None:
    with Running(tmp_path, student.url, teacher.url) as gateway:
        gateway.wait_ready()
        assert gateway.chat()[0] == 200
        first = new_key(tmp_path, "first")
        eventually(lambda: gateway.chat()[0], 401)
        gateway.key = first
        assert gateway.chat()[0] == 200
        second = new_key(tmp_path, "second")
        eventually(lambda: gateway.chat(headers={"authorization": f"Bearer {second}"})[0], 200)

        teacher.play(Act(text="word " * 40, pieces=40, pause=0.1))
        with ThreadPoolExecutor(1) as pool:
            body = {"model": "teacher", "stream": True, "messages": USER}
            stream = pool.submit(gateway.call, "/v1/chat/completions", body)
            time.sleep(0.5)
            assert nightschool("keys", "remove", "first", home=tmp_path).returncode == 0
            gateway.key = second
            eventually(lambda: gateway.chat(headers={"authorization": f"Bearer {first}"})[0], 401)
            assert not stream.done()
            assert stream.result()[2].endswith(b"data: [DONE]\n\n")  # what was let in is finished

        (tmp_path / "data" / "keys.json").write_text("{")
        time.sleep(1)
        assert gateway.chat()[0] == 200  # the keys stay as they were
        assert gateway.chat(headers={"authorization": "Bearer wrong"})[0] == 401
        assert "is damaged" in gateway.log.read_text()
        (tmp_path / "data" / "keys.json").unlink()
        time.sleep(1)
        assert gateway.chat(headers={"authorization": "Bearer wrong"})[0] == 401


def test_without_keys_again_a_gateway_on_loopback_is_open_again(
    tmp_path: Path, student: Script, teacher: Script
) -> None:
    new_key(tmp_path, "only")
    with Running(tmp_path, student.url, teacher.url) as gateway:
        assert gateway.chat()[0] == 401
        assert nightschool("keys", "remove", "only", home=tmp_path).returncode == 0
        eventually(lambda: gateway.chat()[0], 200)


def test_the_file_is_looked_at_twice_a_second_and_not_at_every_request(tmp_path: Path) -> None:
    now = 100.0
    secret = new_key(tmp_path, "a")
    ring = KeyRing(tmp_path / "data" / "keys.json", lambda: now)
    ring.load()
    assert nightschool("keys", "remove", "a", home=tmp_path).returncode == 0
    now += 0.4
    assert ring.find(secret) is not None
    now += 0.2
    assert ring.find(secret) is None


def test_a_clients_key_is_in_no_trace_log_or_upstream_request(tmp_path: Path, student: Script, teacher: Script) -> None:
    secret = new_key(tmp_path, "agent")
    with Running(tmp_path, student.url, teacher.url) as gateway:
        gateway.key = secret
        gateway.wait_ready()
        for model in ("nightschool", "teacher", "none"):
            gateway.chat(model=model, headers={"x-api-key": secret})
        teacher.play(Act(text="cut off here", pieces=4, cut=500))
        gateway.call("/v1/chat/completions", {"model": "teacher", "stream": True, "messages": USER})
        gateway.call("/v1/chat/completions", b"{")
        assert teacher.asked
        for seen in [*student.server.seen, *teacher.server.seen]:
            assert secret not in repr((seen.path, seen.headers, seen.body))
            assert not {"authorization", "x-api-key"} & seen.headers.keys()
    kept = everything_in(tmp_path)
    assert b"stream broken off" in kept
    assert b'"client":"agent"' in kept
    assert secret.encode() not in kept
