"""`nightschool ask`: one question to the exploring agent, told on the terminal."""

from __future__ import annotations

from pathlib import Path

import typer
from openai import AsyncOpenAI

from distill.agent import explore
from distill.tools import Toolbox
from gateway.errors import StartError


async def answer_question(question: str, repo: Path, base_url: str, api_key: str, model: str, max_calls: int) -> None:
    """Print the calls the agent makes and its answer. Raises StartError when there is no repository or no answer."""
    toolbox = _toolbox(repo)
    async with AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0) as client:
        found = await explore(client, model, question, toolbox, max_calls=max_calls)
    for call in found.calls:
        typer.echo(f"→ {call.name} {call.arguments}", err=True)
    if found.error:
        raise StartError(f"no answer from {base_url}: {found.error}")
    typer.echo(found.answer)


def _toolbox(repo: Path) -> Toolbox:
    if not repo.is_dir():
        raise StartError(f"there is no folder {repo}")
    return Toolbox(repo.resolve())
