"""Agent one: openai-agents with three tools of its own, which tells folder, repository and commit in its metadata.

Owns tools, prompt and the course of a conversation; a developer who sees that the first answer is right says so. What
its tools are called, take and print is unlike the exploring agent's. Knows nothing of what is asked or who answers.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents import Agent, ModelSettings, OpenAIResponsesModel, RunConfig, Runner, function_tool
from agents.exceptions import AgentsException
from openai import AsyncOpenAI, OpenAIError

from tests.natural.questions import Asked
from tests.natural.repositories import Repository

_PRIVATE = RunConfig(tracing_disabled=True)  # else conversations are exported to OpenAI
_TURNS = 5
_PAUSE = 1.0  # seconds
_MATCHES = 8
_LINES = 25
_WIDEST = 100
_SYSTEM = """\
You help a developer with the code of a Python package. First `search` the folder "." for the name in question, then
`read_file` 20 lines from the line that was found. After these two calls answer at once, in one or two sentences of
plain text that name file and line. Make more calls only if the answer is not there yet, and none of them twice. A
question about Python or git in general needs no tool."""


async def explore(
    url: str, key: str, asked: Iterator[Asked], count: int, seconds: float, at_once: int = 1
) -> Counter[str]:
    """`count` conversations, none begun after `seconds`; how many ended how: "answered", or by an error's name."""
    until = time.monotonic() + seconds
    ends: Counter[str] = Counter()
    chosen = itertools.islice(asked, count)

    async def some(client: AsyncOpenAI) -> None:
        for one in chosen:
            if time.monotonic() > until:
                return
            ends[await _converse(client, one)] += 1

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300) as client:
        await asyncio.gather(*(some(client) for _ in range(at_once)))
    return ends


async def _converse(client: AsyncOpenAI, asked: Asked) -> str:
    agent = _agent(client, asked.repository)
    said: Any = asked.question
    try:
        for following in (asked.follow_up, ""):
            result = await Runner.run(agent, said, max_turns=_TURNS, run_config=_PRIVATE)
            if said is asked.question and asked.pleases(str(result.final_output)):
                praise = {"id": result.last_response_id, "thumb": "up"}
                await client.post("/feedback", body=praise, cast_to=object)
            if not following:
                break
            said = [*result.to_input_list(), {"role": "user", "content": following}]
    except (AgentsException, OpenAIError) as error:
        await asyncio.sleep(_PAUSE)  # as a person would, who asks something else then
        return type(error).__name__
    return "answered"


def _agent(client: AsyncOpenAI, repository: Repository) -> Agent[Any]:
    told = {"folder": str(repository.root), "repository": repository.name, "commit": repository.commit}
    return Agent(
        "developer's help",
        instructions=_SYSTEM,
        model=OpenAIResponsesModel(model="nightschool", openai_client=client),
        tools=[function_tool(tool) for tool in tools_on(repository.root)],
        model_settings=ModelSettings(metadata=told, temperature=0.2, max_tokens=250),
    )


def tools_on(root: Path) -> list[Callable[..., str]]:
    """The tools over one folder, which they do not leave. Each raises OSError for what is not there."""

    def list_files(folder: str) -> str:
        """List what is in a folder.

        Args:
            folder: The folder; "." is the root.
        """
        below = sorted(path for path in _inside(root, folder).iterdir() if path.name != ".git")
        return "\n".join(f"{path.name}/" if path.is_dir() else f"{path.name} ({_size(path)} lines)" for path in below)

    def read_file(path: str, start: int, lines: int) -> str:
        """Read a part of a file.

        Args:
            path: The file.
            start: The first line to read; 1 is the top.
            lines: How many lines to read, 25 at most.
        """
        held = _inside(root, path).read_text(encoding="utf-8", errors="replace").splitlines()
        first = max(start, 1)
        shown = held[first - 1 : first - 1 + min(max(lines, 1), _LINES)]
        numbered = [f"{number}: {line}" for number, line in enumerate(shown, first)]
        return "\n".join([f"{path} has {len(held)} lines", *numbered])

    def search(pattern: str, folder: str) -> str:
        """Find the lines that contain a text, definitions first.

        Args:
            pattern: The very text to look for; it is no regular expression.
            folder: The folder to look in; "." is the root.
        """
        defines = re.compile(rf": (?:async )?(?:class |def )?{re.escape(pattern)}(?:\(| =|:)")
        found = sorted(_matches(root, _inside(root, folder), pattern), key=lambda line: not defines.search(line))
        more = ["... and more"] if len(found) > _MATCHES else []
        return "\n".join([*found[:_MATCHES], *more]) or "No matches."

    return [list_files, read_file, search]


def _matches(root: Path, below: Path, text: str) -> Iterator[str]:
    for path in sorted(below.rglob("*.py")) if below.is_dir() else [below]:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if text in line:
                yield f"{path.relative_to(root)}:{number}: {line.strip()[:_WIDEST]}"


def _inside(root: Path, name: str) -> Path:
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise PermissionError(f"{name} is outside of the repository")
    if not path.exists():
        raise FileNotFoundError(f"there is no {name}")
    return path


def _size(path: Path) -> int:
    return path.read_bytes().count(b"\n")
