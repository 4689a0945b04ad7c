"""A real gateway process on a free port, and what tests need to talk to it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from gateway.backends.scripted import Play, ScriptedServer

ROOT = Path(__file__).resolve().parents[2]

READ_FILE = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "lines": {"type": "integer", "minimum": 1}},
            "required": ["path"],
            "additionalProperties": False,
        },
    },
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NIGHTSCHOOL_")}
    return {**kept, "NIGHTSCHOOL_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def nightschool(*arguments: str, home: Path, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    return subprocess.run(
        command, env=environment(home, **more), cwd=cwd or home, capture_output=True, text=True, timeout=60, check=False
    )


def new_key(home: Path, name: str, *options: str) -> str:
    """Make a key with the command; its secret."""
    done = nightschool("keys", "add", name, *options, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Running:
    """`nightschool serve` with a student and a teacher at URLs. Use it as a context."""

    def __init__(self, home: Path, student: str = "", teacher: str = "", *options: str, **settings: Any) -> None:
        self.home = home
        self.key = ""  # what every call sends, where it sends no other
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        values = {
            "gateway.port": self.port,
            "student.url": student,
            "teacher.url": teacher,
            "router.uncertified": "serve",
            "router.holdout": 0,
            "canary.on": False,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        variables = {
            "NIGHTSCHOOL_" + key.upper().replace(".", "_", 1): str(value)
            for key, value in values.items()
            if value != ""
        }
        self.log = home / "serve.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "serve", *options],
                env=environment(home, **variables),
                cwd=home,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Running:
        self.wait(lambda health: True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait(self, until: Any, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until /health says what is wanted."""
        end = time.monotonic() + seconds
        health: dict[str, Any] = {}
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                health = self.get("/health")
                if until(health):
                    return health
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"not in {seconds} s: {health}\n{self.log.read_text()}")

    def wait_ready(self) -> None:
        """Also while a new key is not known yet, and /health tells little."""
        self.wait(lambda health: all(health.get(arm, {}).get("ready") for arm in ("student", "teacher")))

    def get(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, headers=self._shown())
        with urllib.request.urlopen(request, timeout=10) as reply:
            return msgspec.json.decode(reply.read())

    def _shown(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def call(
        self, path: str, payload: Any, method: str = "POST", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request; `payload` as JSON, or as the bytes given."""
        data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        sent = {"content-type": "application/json", **self._shown(), **(headers or {})}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def chat(
        self, text: str = "Hi", model: str = "nightschool", **more: Any
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        status, headers, body = self.call(
            "/v1/chat/completions",
            {"model": model, "messages": [{"role": "user", "content": text}], **more.pop("body", {})},
            **more,
        )
        return status, headers, msgspec.json.decode(body)

    def trace(self, headers: dict[str, str]) -> dict[str, Any]:
        """The trace that a response's headers name."""
        return self.get("/v1/traces/" + headers["x-nightschool-trace"])

    def admin(self, path: str, payload: Any = None, method: str = "POST") -> tuple[int, Any]:
        key = (self.home / "data" / "admin.key").read_text()
        status, _, body = self.call(path, payload, method, {"authorization": f"Bearer {key}"})
        return status, msgspec.json.decode(body)


class Script:
    """A scripted model server on a thread of its own. Use it as a context."""

    def __init__(self, *acts: Play, model: str = "scripted", port: int = 0) -> None:
        self.server = ScriptedServer(*acts, model=model)
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def asked(self) -> list[Any]:
        return self.server.asked

    def play(self, *acts: Play) -> None:
        self.server.seen.clear()
        self.server.play(*acts)

    def __enter__(self) -> Script:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(self._port), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        await self.server.stop()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=1.0)  # most end by themselves, their connections being gone
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def elsewhere(url: str) -> str:
    """The same server under an address that is none of this machine's names, as far as the gateway knows."""
    return url.replace("127.0.0.1", "0.0.0.0")
