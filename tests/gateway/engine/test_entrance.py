"""Who may talk to an engine, how many at once, and how it ends: real processes on loopback."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.engine.entrance import check_reach
from gateway.engine.server import EngineSettings
from gateway.errors import StartError
from tests.gateway.running import environment, nightschool

from .conftest import EngineProcess

pytestmark = pytest.mark.gateways

Start = Callable[..., EngineProcess]
LONG: dict[str, Any] = {  # the control token that would end an answer is ruled out
    "model": "tiny",
    "messages": [{"role": "user", "content": "go"}],
    "logit_bias": {"257": -100},
    "max_tokens": 400,
}
SHORT = {**LONG, "max_tokens": 1}


def ask(engine: EngineProcess, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    return engine.http.post(engine.url + "/v1/chat/completions", json=body or SHORT, headers=headers)


def _lines(answer: httpx.Response) -> Iterator[str]:
    """Split at line feeds alone, as events are: `iter_lines` splits at U+0085, too, which a tiny model may well say."""
    rest = b""
    for piece in answer.iter_bytes():
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in whole)


def test_without_a_key_only_programs_of_this_machine_come_in(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port).wait()
    assert ask(engine).status_code == 200
    assert ask(engine, host="localhost:1").status_code == 200
    for headers in ({"host": "rebound.example"}, {"origin": "http://page.example"}, {"origin": "null"}):
        refused = ask(engine, **headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_refused")


def test_a_key_is_asked_of_everyone(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port, host="0.0.0.0", api_key="sésame").wait()
    for headers in ({}, {"authorization": "Bearer sesame"}, {"authorization": "sésame"}):
        for path in ("/v1/models", "/metrics", "/v1/load_lora_adapter"):
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            refused = engine.http.get(engine.url + path, headers=encoded)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    key = {"authorization": "Bearer sésame".encode("latin-1"), "host": b"another.example"}
    assert engine.http.get(engine.url + "/v1/models", headers=key).status_code == 200
    assert engine.http.get(engine.url + "/health").status_code == 200


def test_a_socket_asks_for_nothing(start_engine: Start, tiny: Path, tmp_path: Path) -> None:
    engine = start_engine(model=str(tiny), socket=str(tmp_path / "e.sock"), host="0.0.0.0").wait()
    assert ask(engine, host="anything.example").status_code == 200


def test_an_address_that_others_can_reach_wants_a_key(tmp_path: Path, tiny: Path) -> None:
    check_reach("0.0.0.0", "a key")
    check_reach("::1", "")
    with pytest.raises(StartError):
        check_reach("192.168.0.9", "")
    done = nightschool("engine", "--model", str(tiny), "--host", "0.0.0.0", home=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "--api-key-env" in done.stderr
    unset = nightschool("engine", "--model", str(tiny), "--api-key-env", "NO_SUCH", home=tmp_path)
    assert (unset.returncode, "NO_SUCH" in unset.stderr) == (1, True)


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"queue": -1}, {"memory_gb": math.nan}, {"threads": -1}, {"max_kv_size": 1}, {"stalled": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(StartError, match=f"--{name.replace('_', '-')} must be at least"):
        EngineSettings(model=Path(), **wrong)


def test_a_setting_that_makes_no_sense_is_one_line(tmp_path: Path, tiny: Path) -> None:
    done = nightschool("engine", "--model", str(tiny), "--batch", "0", home=tmp_path)
    assert (done.returncode, done.stderr) == (1, "nightschool: --batch must be at least 1, not 0\n")


def test_a_full_queue_is_told_with_a_time_to_come_back(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port, batch=1, queue=1).wait()
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda seed: ask(engine, {**LONG, "seed": seed}), range(6)))
    refused = [reply for reply in replies if reply.status_code == 503]
    assert len(refused) == 4
    assert {reply.status_code for reply in replies} == {200, 503}
    for reply in refused:
        assert reply.json()["error"]["code"] == "overloaded"
        assert int(reply.headers["retry-after"]) >= 1
    assert ask(engine).status_code == 200  # it recovers by itself


def test_sigterm_lets_a_running_answer_end(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port, drain=20).wait()
    with engine.http.stream("POST", engine.url + "/v1/chat/completions", json={**LONG, "stream": True}) as answer:
        lines = _lines(answer)
        next(lines)
        engine.process.send_signal(signal.SIGTERM)
        refused = _refusal(engine)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_down")
        assert refused.headers["retry-after"] == "20"
        events = [line.removeprefix("data: ") for line in lines if line]
    assert events[-1] == "[DONE]"
    assert any(choice["finish_reason"] == "length" for event in events[:-1] for choice in json.loads(event)["choices"])
    assert engine.process.wait(timeout=10) == 0


def test_an_answer_that_takes_too_long_is_cut_with_an_error(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port, drain=0.01).wait()
    with engine.http.stream("POST", engine.url + "/v1/chat/completions", json={**LONG, "stream": True}) as answer:
        lines = _lines(answer)
        next(lines)
        engine.process.send_signal(signal.SIGTERM)
        events = [line.removeprefix("data: ") for line in lines if line]
    assert json.loads(events[-1])["error"]["code"] == "engine_down"
    assert engine.process.wait(timeout=10) == 0


def test_an_idle_engine_ends_at_once(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port, drain=60).wait()
    begun = time.monotonic()
    engine.process.send_signal(signal.SIGTERM)
    assert engine.process.wait(timeout=10) == 0
    assert time.monotonic() - begun < 5


def test_an_engine_told_not_to_warm_up_answers_too(start_engine: Start, tiny: Path, free_port: int) -> None:
    engine = start_engine(model=str(tiny), port=free_port, warmup=False, max_kv_size=64, memory_gb=1).wait()
    assert ask(engine).status_code == 200
    assert engine.http.get(engine.url + "/health").json()["budget_bytes"] == 10**9


def _refusal(engine: EngineProcess) -> httpx.Response:
    """The first answer that is no 200: the signal may take a moment to be heard."""
    until = time.monotonic() + 5
    while (reply := ask(engine)).status_code == 200 and time.monotonic() < until:
        time.sleep(0.01)
    return reply


def test_the_command_reads_the_key_from_the_environment(tmp_path: Path, tiny: Path, free_port: int) -> None:
    options = ["--model", str(tiny), "--port", str(free_port), "--api-key-env", "ENGINE_KEY"]
    command = [sys.executable, "-m", "gateway.cli", "engine", *options]
    process = subprocess.Popen(command, env=environment(tmp_path, ENGINE_KEY="k"), stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 30
        status = 0
        while status != 401 and time.monotonic() < until:
            try:
                status = httpx.get(f"http://127.0.0.1:{free_port}/v1/models").status_code
            except httpx.TransportError:
                time.sleep(0.1)
        key = {"authorization": "Bearer k"}
        assert httpx.get(f"http://127.0.0.1:{free_port}/v1/models", headers=key).status_code == 200
    finally:
        process.terminate()
        _, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
