"""What a teacher is told besides what the agent sent: in the terms of the agent's tools, and in no trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.prompts import read_prompt
from distill.tools import SPECS
from distill.vocabularies import load_vocabularies
from gateway.answering.prompting import Prompting
from gateway.backends.scripted import Act
from gateway.build import Builder, Crew
from gateway.errors import SettingsError
from gateway.processes.supervisor import Supervisor
from gateway.settings import home, load, make_home, shared
from router.chat import ChatRequest, FunctionSpec, Message, Tool
from tests.gateway.running import Running, Script

_PROMPT = """
name = "short"
system = "Use your tools."

[[examples]]
question = "Which classes inherit from Tea?"
answer = "Green inherits from Tea."

[[examples.calls]]
tool = "run_command"
arguments = { command = "grep", args = ["-rn", "Tea", "."] }
result = "./green.py:1:class Green(Tea):"

[[examples]]
question = "What is 2 + 2?"
answer = "4."
"""
_ASKED = {"role": "user", "content": "Who drinks tea?"}


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(_PROMPT)
    return path


@pytest.fixture
def weak() -> Iterator[Script]:
    with Script(Act(text="Everybody."), model="big") as script:
        yield script


def told(prompt: Path, tools: list[Tool], *sent: dict[str, Any]) -> list[Any]:
    vocabularies = load_vocabularies(shared("data", "vocabularies")).values()
    request = ChatRequest("teacher", [Message("user", "Who drinks tea?")], tools=tools)
    return Prompting(read_prompt(prompt), vocabularies).messages(request, list(sent))


def test_it_stands_behind_the_agents_own_system_prompt_and_before_the_question(prompt: Path) -> None:
    messages = told(prompt, SPECS, {"role": "system", "content": "Be brief."}, _ASKED)
    assert messages[0] == {"role": "system", "content": "Be brief.\n\nUse your tools."}
    roles = ["user", "assistant", "tool", "assistant", "user", "assistant", "user"]
    assert [message["role"] for message in messages[1:]] == roles
    assert messages[-1] == _ASKED


def test_a_system_prompt_in_parts_stays_in_parts(prompt: Path) -> None:
    part = {"type": "text", "text": "Be brief."}
    messages = told(prompt, SPECS, {"role": "developer", "content": [part]}, _ASKED)
    assert messages[0]["role"] == "developer"
    assert messages[0]["content"] == [part, {"type": "text", "text": "Use your tools."}]


def test_without_a_system_prompt_there_is_one(prompt: Path) -> None:
    assert told(prompt, SPECS, _ASKED)[0] == {"role": "system", "content": "Use your tools."}


def test_examples_are_put_in_the_terms_of_the_tools_that_are_offered(prompt: Path) -> None:
    for vocabulary in load_vocabularies(shared("data", "vocabularies")).values():
        messages = told(prompt, vocabulary.specs, _ASKED)
        calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
        names = {tool.function.name for tool in vocabulary.specs}
        assert calls, vocabulary.name
        assert {call["name"] for call in calls} <= names
        assert any("green.py" in str(message["content"]) for message in messages if message["role"] == "tool")


def test_an_example_whose_tool_is_not_offered_is_left_out(prompt: Path) -> None:
    other = [Tool(FunctionSpec("send_mail", "Send a mail.", {"type": "object", "properties": {}}))]
    messages = told(prompt, other, _ASKED)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]


def test_the_teacher_is_told_and_the_trace_does_not_hold_it(tmp_path: Path, prompt: Path, weak: Script) -> None:
    with Running(tmp_path, "", weak.url, **{"router.policy": "teacher", "teacher.prompt": prompt}) as gateway:
        gateway.wait(lambda health: bool(health["teacher"]["ready"]))
        _, headers, answer = gateway.chat("Who drinks tea?")
        assert answer["choices"][0]["message"]["content"] == "Everybody."
        sent = weak.asked[-1].body["messages"]
        assert sent[0] == {"role": "system", "content": "Use your tools."}
        assert sent[-1] == _ASKED
        trace = gateway.trace(headers)
        assert [message["content"] for message in trace["request"]["messages"]] == ["Who drinks tea?"]


@pytest.mark.parametrize(("section", "said"), [("student", "student learns"), ("teacher", "there is no prompt 'loud'")])
def test_what_cannot_be_is_said_at_the_start(tmp_path: Path, section: str, said: str) -> None:
    given = {"gateway": {"home": str(tmp_path)}, section: {"prompt": "loud", "url": "http://127.0.0.1:9/v1"}}
    with pytest.raises(SettingsError, match=said):
        _crew(given)


def _crew(given: dict[str, Any]) -> Crew:
    settings = load(overrides=given)
    return Builder(make_home(home(settings)), Supervisor()).crew(settings)
