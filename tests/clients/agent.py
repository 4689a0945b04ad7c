"""Agents that are programs of their own: fetched by `make clients`, started by `nightschool launch`.

Each run has a repository and a home of its own and reaches nothing but this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.agents.records import agents
from tests.clients.loop import FILES
from tests.gateway.running import ROOT, Running, environment

FETCHED = ROOT / ".clients"
_PATH = os.pathsep.join(str(FETCHED / folder) for folder in ("aider/bin", "npm/node_modules/.bin"))
_NOWHERE = "http://127.0.0.1:9"  # nobody listens on the discard port
_ALONE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
AIDER = (  # options that let it run by itself
    *("--yes-always", "--no-analytics", "--no-check-update", "--no-show-release-notes", "--no-gitignore"),
    *("--no-pretty", "--no-fancy-input", "--max-chat-history-tokens", "16000"),  # or else it would ask for summaries
)


def has_program(word: str) -> bool:
    """Whether the agent's program was fetched."""
    return shutil.which(agents()[word].program, path=_PATH) is not None


class Place:
    """A git repository with a few files in it, by default the loop's, and the home of a user who has never run an
    agent."""

    def __init__(self, folder: Path, files: Mapping[str, str] = FILES) -> None:
        self.repository = folder / "repository"
        self.home = folder / "user"
        self.home.mkdir()
        self.repository.mkdir()
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        self.git("init", "--quiet")
        self.git("config", "user.name", "Somebody")
        self.git("config", "user.email", "somebody@example.com")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "first")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.repository,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def run(
        self, gateway: Running, model: str, word: str, *arguments: str, said: str = "", seconds: float = 100
    ) -> str:
        """What an agent prints, started by `launch` with the gateway's key; `said` is its standard input."""
        assert has_program(word), f"there is no {word} in {FETCHED}: `make clients` fetches it"
        key = ["--key-env", "GATEWAY_KEY"] if gateway.key else []
        launch = [sys.executable, "-m", "gateway.cli", "launch", word, "--url", gateway.url, "--model", model, *key]
        done = subprocess.run(
            [*launch, "--", *arguments],
            cwd=self.repository,
            env=environment(gateway.home, GATEWAY_KEY=gateway.key, **self._environment()),
            input=said,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([_PATH, os.environ["PATH"]])
        return {**_ALONE, "PATH": path, "HOME": str(self.home), "PWD": str(self.repository)}
