"""Nightschool's gateway and its peers, each a process before the same instant upstream, as its user would start it.

Owns their command lines and settings. A peer that is not on this machine is missing, with the reason. Knows nothing of
what is measured.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.bench.options import Options
from tests.bench.servers import NotStarted, running
from tests.gateway.running import Running, free_port

DIRECT, OURS = "upstream", "nightschool"
MODEL = "scripted"
ANSWER = "word " * 50

_NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    keepalive_requests 100000000;
    location = /health {{ return 200; }}
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {buffering};
    }}
  }}
}}
"""


@dataclass
class Target:
    """Something that answers chat completions. `headers` are what it wants besides; `answers` counts what it gave."""

    port: int
    pid: int
    settings: str
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: int = 0
    _questions: Iterator[int] = field(default_factory=itertools.count)

    def question(self) -> str:
        """A text that it was never asked before."""
        return f"Question {next(self._questions)}"


@dataclass
class Field:
    """Who takes part, the upstream itself among them, and who does not and why."""

    ours: Running
    targets: dict[str, Target]
    missing: dict[str, str]

    @property
    def peers(self) -> list[str]:
        return [name for name in self.targets if name not in (DIRECT, OURS)]

    @property
    def settings(self) -> dict[str, str]:
        return {name: target.settings for name, target in self.targets.items()}


@contextmanager
def field_of(options: Options, pieces: int = 1) -> Iterator[Field]:
    """All of them, before an upstream that answers at once: whole, or streamed in so many pieces."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(_upstream(pieces))
        url = f"http://127.0.0.1:{upstream.port}/v1"
        gateway = stack.enter_context(Running(work, "", url, router__policy="teacher"))
        gateway.wait(lambda health: health["teacher"]["ready"])
        ours = Target(gateway.port, gateway.process.pid, "policy teacher, traces on")
        found = Field(gateway, {DIRECT: upstream, OURS: ours}, {})
        for name, start in _peers(options, upstream.port, work, streams=pieces > 1).items():
            try:
                found.targets[name] = stack.enter_context(start())
            except NotStarted as error:
                found.missing[name] = str(error)[-300:]
        yield found


@contextmanager
def _upstream(pieces: int) -> Iterator[Target]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gateway.backends.scripted",
        "--port",
        str(port),
        "--pieces",
        str(pieces),
        "--text",
        ANSWER,
    ]
    with running(command, os.environ, f"http://127.0.0.1:{port}/health") as pid:
        yield Target(port, pid, "gateway.backends.scripted")


def _peers(
    options: Options, upstream: int, work: Path, *, streams: bool
) -> dict[str, Callable[[], AbstractContextManager[Target]]]:
    return {
        "nginx": lambda: _nginx(options.nginx, upstream, work / "nginx", streams=streams),
        "portkey": lambda: _portkey(options.portkey, upstream),
        "litellm": lambda: _litellm(options.litellm, upstream, work),
    }


@contextmanager
def _nginx(given: Path | None, upstream: int, work: Path, *, streams: bool) -> Iterator[Target]:
    """A bare proxy with kept connections, no log, and without buffers where an answer is streamed."""
    program, port = _program("nginx", given, "NGINX="), free_port()
    work.mkdir()
    written = work / "nginx.conf"
    buffering = "off" if streams else "on"
    written.write_text(_NGINX.format(upstream=upstream, port=port, buffering=buffering))
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr.strip()
    command = [program, "-p", str(work), "-e", "stderr", "-c", str(written)]
    with running(command, os.environ, f"http://127.0.0.1:{port}/health") as pid:
        yield Target(port, pid, f"{told.removeprefix('nginx version: ')}, 1 worker, no log, buffering {buffering}")


@contextmanager
def _portkey(given: Path | None, upstream: int) -> Iterator[Target]:
    """As its package starts it, without the console. It is told of the upstream with each request."""
    if given is None:
        raise NotStarted("not named: PORTKEY= is the start-server.js of the npm package @portkey-ai/gateway")
    node, port = _program("node", None, "PATH"), free_port()
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        "authorization": "Bearer none",
    }
    variables = {**os.environ, "NODE_ENV": "production"}
    card = next(parent / "package.json" for parent in given.resolve().parents if (parent / "package.json").is_file())
    version = msgspec.json.decode(card.read_bytes()).get("version")
    command = [node, str(given), f"--port={port}", "--headless"]
    with running(command, variables, f"http://127.0.0.1:{port}/") as pid:
        yield Target(port, pid, f"@portkey-ai/gateway {version}, headless", headers)


@contextmanager
def _litellm(given: Path | None, upstream: int, work: Path) -> Iterator[Target]:
    """One worker, as its pages say for production: errors only in the log, no callbacks, no database."""
    program, port = _program("litellm", given, "LITELLM="), free_port()
    params = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "litellm_settings": {"set_verbose": False, "num_retries": 0},
    }
    written = work / "litellm.yaml"
    written.write_bytes(msgspec.json.encode(settings))  # JSON is YAML
    variables = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_TELEMETRY": "False"}
    variables["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its table of prices comes from its own files
    variables["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"  # no keys, as with the others
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, env=variables).stdout
    version = next((line for line in told.splitlines() if "Version" in line), "").rpartition(" ")[2]
    options = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    command = [program, "--config", str(written), *options]
    with running(command, variables, f"http://127.0.0.1:{port}/health/liveliness") as pid:
        yield Target(port, pid, f"litellm {version}, 1 worker, log ERROR", {"authorization": "Bearer none"})


def _program(name: str, given: Path | None, option: str) -> str:
    found = str(given) if given is not None else shutil.which(name)
    if found is None or not Path(found).exists():
        raise NotStarted(f"there is no {name}: install it, or name it with {option}")
    return found
