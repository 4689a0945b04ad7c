"""Programs that are told nothing of the gateway, started by `nightschool launch`: their libraries' defaults find it."""

from __future__ import annotations

import sys

import pytest

from tests.clients.loop import Loop
from tests.gateway.running import nightschool

READ = """\
import sys
from tests.clients.loop import FILES
def read_file(path: str) -> str:
    "Read a file."
    return FILES.get(path, f"there is no file {path}")
"""
PYDANTIC_AI = """\
from pydantic_ai import Agent
agent = Agent("MODEL")
agent.tool_plain(read_file)
print(agent.run_sync(sys.argv[1]).output)
"""
PROGRAMS = {
    ("openai-agents", "responses"): """\
from agents import Agent, Runner, function_tool
agent = Agent("reader", tools=[function_tool(read_file)])
print(Runner.run_sync(agent, sys.argv[1]).final_output)
""",
    ("pydantic-ai", "responses"): PYDANTIC_AI.replace("MODEL", "openai:gpt-6.1"),
    ("any", "messages"): PYDANTIC_AI.replace("MODEL", "anthropic:claude-opus-5"),
    ("langchain", "chat"): """\
from langchain.agents import create_agent
agent = create_agent("openai:gpt-4o", [read_file])
print(agent.invoke({"messages": [{"role": "user", "content": sys.argv[1]}]})["messages"][-1].text)
""",
}


@pytest.mark.parametrize("loop", ["student"], indirect=True)
@pytest.mark.parametrize(("word", "wire"), PROGRAMS)
def test_a_program_finds_the_gateway(loop: Loop, word: str, wire: str) -> None:
    program = [sys.executable, "-c", READ + PROGRAMS[word, wire], loop.question]
    done = nightschool("launch", word, "--url", loop.url, "--", *program, home=loop.gateway.home)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "one | two | there is no file none.py"
    traces = loop.written(3)
    assert [(trace.state, trace.wire, trace.decision.arm) for trace in traces] == [("completed", wire, "student")] * 3
    assert len({trace.conversation for trace in traces}) == 1
