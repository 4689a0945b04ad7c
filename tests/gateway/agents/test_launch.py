"""`nightschool launch`: each agent's place is taken by a real program, which asks a real gateway."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.agents.records import agents
from tests.gateway.agent_stand_in import put_on_path
from tests.gateway.running import ROOT, Running, environment, free_port, nightschool

SECRET = "sk-of-the-gateway-7031"
WORDS = sorted(agents())
UNSET = {name for record in agents().values() for name in record.unset}
MINE = dict.fromkeys([*UNSET, "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OTHER"], "mine")


def takes_a_model(word: str) -> bool:
    record = agents()[word]
    return any("$model" in text for text in [*record.arguments, *record.environment.values()])


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """A user's home with settings of agents in it, and stand-ins for all of them on the PATH."""
    home = tmp_path / "user"
    for name in (".codex/config.toml", ".claude/settings.json", ".config/opencode/opencode.json", ".aider.conf.yml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("# mine\n")
    for word in WORDS:
        put_on_path(tmp_path / "bin", agents()[word].program or "my-agent")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "AGENT_KEY": SECRET, **MINE}


def launch(gateway: Running, place: dict[str, str], word: str, *options: str, **more: str) -> dict[str, Any]:
    """What the stand-in tells, started by `launch` with two arguments of the user's own."""
    command = [] if agents()[word].program else ["my-agent"]
    arguments = ["launch", word, "--url", gateway.url, *options, "--", *command, "--mine", "two words"]
    done = nightschool(*arguments, home=gateway.home, **{**place, **more})
    assert done.returncode == int(more.get("AGENT_EXIT", 0)), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in folder.rglob("*")}


@pytest.mark.parametrize("word", WORDS)
def test_an_agent_uses_the_gateway_and_nothing_of_the_users_is_touched(
    gateway: Running, place: dict[str, str], word: str
) -> None:
    before = tree(Path(place["HOME"]))
    told = launch(gateway, place, word, "--key-env", "AGENT_KEY", AGENT_EXIT="5")
    assert told["answer"] == "student"
    assert told["argv"][-2:] == ["--mine", "two words"]
    assert SECRET not in " ".join(told["argv"])
    record, seen = agents()[word], told["environment"]
    keyed = [name for name, value in record.environment.items() if value == "$key"]
    assert keyed
    assert {seen[name] for name in keyed} == {SECRET}
    assert not {name for name in record.unset if name in seen}
    others = {name for name in seen if SECRET in seen[name]} - {"AGENT_KEY", *keyed}
    assert not others
    assert seen["OTHER"] == "mine"
    assert seen["HOME"] == place["HOME"]
    assert tree(Path(place["HOME"])) == before


@pytest.mark.parametrize("word", [word for word in WORDS if takes_a_model(word)])
def test_an_agent_asks_for_the_model_that_is_named(gateway: Running, place: dict[str, str], word: str) -> None:
    told = launch(gateway, place, word, "--model", "teacher")
    assert (told["model"], told["answer"]) == ("teacher", "teacher")


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("openai-agents", {"OPENAI_BASE_URL": "{url}/v1", "OPENAI_AGENTS_DISABLE_TRACING": "1"}),
        ("aider", {"OPENAI_API_BASE": "{url}/v1"}),
        ("codex", {"NIGHTSCHOOL_KEY": "unused", "OPENAI_API_KEY": "mine"}),
        (
            "claude",
            {
                "ANTHROPIC_BASE_URL": "{url}",
                "ANTHROPIC_AUTH_TOKEN": "unused",
                "ANTHROPIC_DEFAULT_HAIKU_MODEL": "nightschool",
                "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            },
        ),
        ("pydantic-ai", {"OPENAI_BASE_URL": "{url}/v1"}),
        ("langchain", {"OPENAI_API_BASE": "{url}/v1"}),
        ("any", {"OPENAI_API_BASE": "{url}/v1", "ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": "unused"}),
    ],
)
def test_what_agents_are_told_by_their_environment(
    gateway: Running, place: dict[str, str], word: str, wanted: dict[str, str]
) -> None:
    seen = launch(gateway, place, word)["environment"]
    assert {name: seen.get(name) for name in wanted} == {
        name: value.format(url=gateway.url) for name, value in wanted.items()
    }


def test_codex_gets_its_provider_on_the_command_line(gateway: Running, place: dict[str, str]) -> None:
    arguments = launch(gateway, place, "codex")["argv"]
    told = tomllib.loads("\n".join(arguments[1:6:2]))
    assert arguments[0:6:2] == ["-c"] * 3
    provider = told["model_providers"][told["model_provider"]]
    assert provider == {
        "name": "Nightschool",
        "base_url": gateway.url + "/v1",
        "env_key": "NIGHTSCHOOL_KEY",
        "wire_api": "responses",
    }


def test_the_gateway_of_the_settings_is_the_default(gateway: Running, place: dict[str, str]) -> None:
    more = {**place, "NIGHTSCHOOL_GATEWAY_PORT": str(gateway.port)}
    done = nightschool("launch", "any", "my-agent", home=gateway.home, **more)
    assert json.loads(done.stdout)["answer"] == "student"


def test_signals_reach_the_agent_and_its_exit_code_comes_back(gateway: Running, place: dict[str, str]) -> None:
    command = [sys.executable, "-m", "gateway.cli", "launch", "claude", "--url", gateway.url]
    variables = environment(gateway.home, **place, AGENT_WAITS="1")
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 7


@pytest.mark.parametrize("word", ["codex", "claude", "opencode", "any"])
def test_print_shows_lines_that_a_shell_can_run(gateway: Running, place: dict[str, str], word: str) -> None:
    """What is printed does, in a shell, what launch does; the key is named in it and not shown."""
    command = [] if agents()[word].program else ["my-agent"]
    options = ["--url", gateway.url + "/v1/", "--key-env", "AGENT_KEY", "--print"]
    own = [*command, "--mine", "two words"]
    printed = nightschool("launch", word, *options, "--", *own, home=gateway.home, **place).stdout
    assert SECRET not in printed
    shell = subprocess.run(
        ["sh", "-euc", printed], env=environment(gateway.home, **place), capture_output=True, text=True, check=True
    )
    by_shell, launched = json.loads(shell.stdout), launch(gateway, place, word, "--key-env", "AGENT_KEY")
    for told in (by_shell, launched):
        for own in ("_", "PWD", "SHLVL", "OLDPWD"):
            told["environment"].pop(own, None)
    assert by_shell == launched


def test_print_needs_neither_gateway_nor_agent(tmp_path: Path) -> None:
    done = nightschool("launch", "aider", "--url", "http://127.0.0.1:9", "--print", home=tmp_path, PATH="/nowhere")
    assert done.returncode == 0
    assert shlex.split(done.stdout.splitlines()[-1])[:3] == ["aider", "--model", "openai/nightschool"]


def test_list_names_every_agent(tmp_path: Path) -> None:
    lines = nightschool("launch", "--list", home=tmp_path).stdout.splitlines()
    assert sorted(line.split()[0] for line in lines[1:]) == WORDS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["codx"], "did you mean 'codex'?"),
        ([], "--list"),
        (["any"], "nightschool launch any -- "),
        (["codex", "--url", "127.0.0.1:8787"], "http://"),
        (["codex", "--model", 'a"b'], "--model"),
        (["aider", "--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = nightschool("launch", *arguments, home=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert words in done.stderr


def test_without_a_gateway_serve_is_named(tmp_path: Path, place: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = nightschool("launch", "claude", "--url", url, home=tmp_path, **place)
    assert done.returncode == 1
    assert url in done.stderr
    assert "nightschool serve" in done.stderr


def test_an_agent_that_is_not_installed_is_named_with_how_to_get_it(gateway: Running) -> None:
    done = nightschool("launch", "codex", "--url", gateway.url, home=gateway.home, PATH="/nowhere")
    assert done.returncode == 1
    assert agents()["codex"].install in done.stderr
    done = nightschool("launch", "any", "--url", gateway.url, "--", "no-such", home=gateway.home, PATH="/nowhere")
    assert "'no-such'" in done.stderr


def test_an_agent_that_would_not_heed_its_environment_is_not_started(gateway: Running, place: dict[str, str]) -> None:
    done = nightschool("launch", "opencode", "--url", gateway.url, home=gateway.home, **place, AGENT_VERSION="2.0.14")
    assert (done.returncode, done.stdout) == (1, "")
    assert "docs/agents.md" in done.stderr


def test_every_agent_has_a_part_in_the_page() -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    for word, record in agents().items():
        assert f"\n## {record.name[0].upper()}{record.name[1:]}\n" in page
        for name in [*record.environment, *record.unset]:
            assert f"`{name}" in page or f"{name}=" in page, f"{word}: {name}"
