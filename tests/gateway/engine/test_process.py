"""What an engine process does when the world around it breaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import EngineProcess

pytestmark = pytest.mark.gateways

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)


def running(process: EngineProcess) -> int:
    return int(process.http.get(process.url + "/health").json()["running"])


def test_it_ends_with_its_parent(start_engine: Callable[..., EngineProcess], tiny: Path, free_port: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    engine = start_engine(model=str(tiny), port=free_port, parent=parent.pid).wait()
    parent.kill()
    parent.communicate()
    assert engine.process.wait(timeout=5) is not None


def test_a_port_in_use_is_one_clear_line(start_engine: Callable[..., EngineProcess], tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        engine = start_engine(model=str(tiny), port=taken.getsockname()[1])
        assert engine.process.wait(timeout=30) != 0
    assert "choose another with --port" in engine.end()


def test_a_missing_model_is_one_clear_line(
    start_engine: Callable[..., EngineProcess],
    tmp_path: Path,
    free_port: int,
) -> None:
    engine = start_engine(model=str(tmp_path / "none"), port=free_port)
    assert engine.process.wait(timeout=30) not in (0, -signal.SIGABRT)
    assert "ModelError" in engine.end()


def test_a_socket_left_behind_is_taken_over(
    start_engine: Callable[..., EngineProcess],
    tiny: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "e.sock"
    first = start_engine(model=str(tiny), socket=str(path)).wait()
    first.end(signal.SIGKILL)
    assert path.exists()
    start_engine(model=str(tiny), socket=str(path)).wait()
    third = start_engine(model=str(tiny), socket=str(path))
    assert third.process.wait(timeout=30) != 0
    assert "another process does" in third.end()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_is_noticed_within_a_second(
    start_engine: Callable[..., EngineProcess],
    tiny: Path,
    free_port: int,
    stream: bool,
) -> None:
    """A hundred long answers take many seconds; nothing of them is left one second after the client has gone."""
    engine = start_engine(model=str(tiny), port=free_port, batch=4, queue=100).wait()
    asked = {"messages": [{"role": "user", "content": "hi"}], "n": 100, "logit_bias": {"257": -100}, "stream": stream}
    body = json.dumps({"model": "tiny", **asked}).encode()
    with socket.create_connection(("127.0.0.1", free_port)) as wire:
        wire.sendall(HEAD % len(body) + body)
        time.sleep(1.0)
        assert running(engine) > 50
    left = time.monotonic()
    while running(engine):
        assert time.monotonic() - left < 1


def test_the_engine_leaves_no_child_behind(
    start_engine: Callable[..., EngineProcess],
    tiny: Path,
    free_port: int,
) -> None:
    engine = start_engine(model=str(tiny), port=free_port).wait()
    engine.end()
    assert engine.process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(engine.process.pid, 0)
