"""`nightschool launch`: start an agent on a running gateway. Owns the checks before it and the change into the agent.

Writes nothing anywhere: all that the agent is told is in its environment and its arguments.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from gateway.agents.presence import answers
from gateway.agents.records import Agent, Plan, agents
from gateway.errors import StartError
from gateway.settings import agent_environment

DUMMY_KEY = "unused"  # a gateway without keys takes any; many agents insist on one
_MAJOR = re.compile(r"(\d+)\.\d")


def start(chosen: Agent, planned: Plan, url: str, key: str) -> NoReturn:
    """Become the agent: its exit code and the signals it gets are its own from here on.

    Raises StartError when no gateway answers, or the agent is not installed or too new.
    """
    if not answers(url):
        raise StartError(f"no gateway answers at {url}: start one with 'nightschool serve', or name another with --url")
    program = _found(chosen, planned.command[0])
    if chosen.below:
        _check_version(chosen, program)
    given = {**planned.environment, **dict.fromkeys(planned.keyed, key)}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, planned.command, agent_environment(given, planned.unset))


def tell_agents(console: Console) -> None:
    """`launch --list`."""
    table = Table("agent", "", "wire", "starts", box=None)
    for word, known in agents().items():
        table.add_row(word, known.name, known.wire, known.program or "the command after --")
    console.print(table)


def _found(chosen: Agent, program: str) -> str:
    found = shutil.which(program)
    if found is None:
        remedy = f": install {chosen.name} with: {chosen.install}" if chosen.program else ""
        raise StartError(f"there is no program '{program}' on the PATH{remedy}")
    return found


def _check_version(chosen: Agent, program: str) -> None:
    """An agent that would not heed its environment must not start, lest it talk to somebody else's model."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{program} --version does not answer: {error}") from error
    found = _MAJOR.search(done.stdout)
    if found and int(found[1]) >= chosen.below:
        raise StartError(
            f"{chosen.name} {done.stdout.strip()} does not take its settings from the environment: "
            "docs/agents.md has the lines for its own settings file"
        )
