"""Names, origins and addresses: which web pages may come in, under which names, and what a public address needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script, new_key, nightschool

PAGE = "https://app.example"
CHAT = "/v1/chat/completions"
ASK = {"model": "nightschool", "messages": [{"role": "user", "content": "Hi"}]}
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
}


@pytest.fixture(scope="module")
def listed(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway without keys that lists two origins."""
    home = tmp_path_factory.mktemp("home")
    with Running(home, student.url, teacher.url, gateway__origins=f"{PAGE},http://other.example") as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def public(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway on all addresses, with a key, that lists an origin."""
    home = tmp_path_factory.mktemp("home")
    secret = new_key(home, "agent")
    with Running(home, student.url, teacher.url, gateway__host="0.0.0.0", gateway__origins=PAGE) as running:
        running.key = secret
        running.wait_ready()
        yield running


def cors(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith("access-control-")}


def code(answer: bytes) -> str:
    return str(msgspec.json.decode(answer)["error"]["code"])


def test_by_default_no_page_may_come_in(gateway: Running) -> None:
    for method, more in (("POST", {}), ("OPTIONS", PREFLIGHT)):
        status, headers, answer = gateway.call(CHAT, ASK, method, {"origin": PAGE, **more})
        assert (status, code(answer), cors(headers)) == (403, "origin_refused", {})
    assert cors(gateway.call(CHAT, ASK)[1]) == {}


def test_a_listed_page_is_told_beforehand_that_it_may(listed: Running) -> None:
    status, headers, answer = listed.call(CHAT, b"", "OPTIONS", {"origin": PAGE, **PREFLIGHT})
    assert (status, answer) == (204, b"")
    told = cors(headers)
    assert told["access-control-allow-origin"] == PAGE
    assert "POST" in told["access-control-allow-methods"]
    assert told["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert "access-control-allow-credentials" not in told
    assert headers["vary"] == "origin"


@pytest.mark.parametrize("stream", [False, True])
def test_a_listed_page_may_read_its_answer(listed: Running, stream: bool) -> None:
    status, headers, answer = listed.call(CHAT, {**ASK, "stream": stream}, headers={"origin": PAGE})
    assert (status, b"student" in answer) == (200, True)
    assert cors(headers)["access-control-allow-origin"] == PAGE
    assert "x-nightschool-trace" in cors(headers)["access-control-expose-headers"]


def test_a_listed_page_may_read_its_errors(listed: Running) -> None:
    status, headers, _ = listed.call(CHAT, {**ASK, "model": "none"}, headers={"origin": PAGE})
    assert (status, cors(headers)["access-control-allow-origin"]) == (404, PAGE)
    assert cors(listed.call("/v1/models", b"", "GET", {"origin": PAGE})[1])["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil", "http://app.example", "null"])
def test_a_page_that_is_not_listed_stays_out(listed: Running, public: Running, origin: str) -> None:
    for gateway in (listed, public):
        for method, more in (("POST", {}), ("OPTIONS", PREFLIGHT)):
            status, headers, answer = gateway.call(CHAT, ASK, method, {"origin": origin, **more})
            assert (status, code(answer), cors(headers)) == (403, "origin_refused", {})


SIMPLE = {"text/plain": msgspec.json.encode(ASK), "application/x-www-form-urlencoded": b"model=teacher&messages=Hi"}


@pytest.mark.parametrize("origin", [PAGE, "null", "http://localhost:3000"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/v1/completions", "/admin/rollback"])
def test_what_a_page_can_send_unasked_does_nothing(
    gateway: Running, student: Script, teacher: Script, path: str, origin: str
) -> None:
    """Forms, beacons and fetch without CORS need no preflight, but are of these types, and the browser says whose."""
    for kind, body in {**SIMPLE, "": msgspec.json.encode(ASK)}.items():
        assert gateway.call(path, body, headers={"origin": origin, "content-type": kind})[0] == 403
        if path != "/admin/rollback":
            assert gateway.call(path, body, headers={"content-type": kind})[0] == 415
    assert not student.asked
    assert not teacher.asked


def test_no_page_is_told_of_admin_calls(listed: Running) -> None:
    status, headers, _ = listed.call("/admin/status", b"", "OPTIONS", {"origin": PAGE, **PREFLIGHT})
    assert (status, cors(headers)) == (401, {})
    key = (listed.home / "data" / "admin.key").read_text()
    headers = listed.call("/admin/status", b"", "GET", {"origin": PAGE, "authorization": f"Bearer {key}"})[1]
    assert cors(headers) == {}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", ""])
def test_a_rebound_name_opens_no_gateway_without_keys(listed: Running, host: str) -> None:
    for path, method in ((CHAT, "POST"), ("/v1/models", "GET"), ("/health", "GET")):
        status, _, answer = listed.call(path, ASK, method, {"host": host})
        assert (status, code(answer)) == (403, "origin_refused")


def test_with_a_key_a_client_may_come_under_any_name(public: Running) -> None:
    assert public.call(CHAT, ASK, headers={"host": "studio.local:8787"})[0] == 200
    assert public.call(CHAT, ASK, headers={"host": "studio.local:8787", "authorization": "Bearer wrong"})[0] == 401


def test_a_page_needs_the_key_as_well(public: Running) -> None:
    assert public.call(CHAT, b"", "OPTIONS", {"origin": PAGE, "authorization": "", **PREFLIGHT})[0] == 204
    status, headers, _ = public.call(CHAT, ASK, headers={"origin": PAGE, "authorization": "Bearer wrong"})
    assert (status, cors(headers)["access-control-allow-origin"]) == (401, PAGE)
    assert public.call(CHAT, ASK, headers={"origin": PAGE})[0] == 200


def test_a_public_address_without_keys_refuses_to_start(tmp_path: Path) -> None:
    variables = {"NIGHTSCHOOL_TEACHER_URL": "http://127.0.0.1:9/v1", "NIGHTSCHOOL_STUDENT_URL": "http://127.0.0.1:9/v1"}
    done = nightschool("serve", "--host", "0.0.0.0", home=tmp_path, **variables)
    assert done.returncode == 1
    assert "nightschool keys add" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_public_gateway_stays_shut_when_its_last_key_is_taken(
    tmp_path: Path, student: Script, teacher: Script
) -> None:
    secret = new_key(tmp_path, "agent")
    with Running(tmp_path, student.url, teacher.url, gateway__host="0.0.0.0") as gateway:
        gateway.key = secret
        gateway.wait_ready()
        assert nightschool("keys", "remove", "agent", home=tmp_path).returncode == 0
        assert gateway.wait(lambda health: health == {"status": "ok"}, 3)
        assert gateway.chat()[0] == 401
        gateway.key = ""
        assert gateway.chat()[0] == 401
        student.play(Act(text="again"))
        gateway.key = new_key(tmp_path, "agent")
        gateway.wait_ready()
        assert gateway.chat()[0] == 200
