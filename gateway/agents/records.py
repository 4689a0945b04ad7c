"""The agents that `nightschool launch` knows, and what each needs to use a gateway.

Pure apart from reading the records. Owns data/agents.toml. Knows nothing of processes; `gateway.agents.launch` starts
what is planned here.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from string import Template

import msgspec

from gateway.errors import SettingsError
from gateway.settings import shared

_KEY = "$key"
_PLAIN = re.compile(r"[\w.:/@%+\[\]~-]+")  # what may be put into the JSON and TOML of the records without quoting


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record; data/agents.toml says what the fields mean."""

    name: str
    wire: str
    install: str
    program: str = ""
    arguments: list[str] = []
    environment: dict[str, str] = {}
    unset: list[str] = []
    below: int = 0


class Plan(msgspec.Struct, frozen=True):
    """How an agent is started. The gateway's key becomes the value of the variables in `keyed`, and of no others."""

    command: list[str]
    environment: dict[str, str]
    keyed: list[str]
    unset: list[str]


def agents() -> dict[str, Agent]:
    """The records by the word that `launch` takes. Raises StartError where the installation lacks them."""
    return msgspec.toml.decode(shared("data", "agents.toml").read_bytes(), type=dict[str, Agent])


def agent(word: str) -> Agent:
    """One record. Raises SettingsError for a word that is none, naming the nearest."""
    known = agents()
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
        raise SettingsError(
            f"there is no agent '{word}' (did you mean '{near[0]}'?): 'nightschool launch --list' shows them, "
            "and 'any' is for all the others"
        )
    return known[word]


def plan(word: str, url: str, model: str, arguments: Sequence[str]) -> Plan:
    """How to start the agent on the gateway at `url` (without /v1), `arguments` being the user's own.

    Raises SettingsError for an unknown agent, a model or URL that is none, or a command that was not given.
    """
    chosen = agent(word)
    for what, value in (("model", model), ("url", url)):
        if not _PLAIN.fullmatch(value):
            raise SettingsError(f"--{what} must be a plain name or address, not '{value}'")
    if not chosen.program and not arguments:
        raise SettingsError(f"say what to run: nightschool launch {word} -- python my_agent.py")

    def filled(text: str) -> str:
        return Template(text).substitute(url=url, model=model).strip()

    own = [chosen.program, *map(filled, chosen.arguments)] if chosen.program else []
    given = chosen.environment
    return Plan(
        command=[*own, *arguments],
        environment={name: filled(value) for name, value in given.items() if value != _KEY},
        keyed=[name for name, value in given.items() if value == _KEY],
        unset=chosen.unset,
    )


def as_shell(planned: Plan, key: str, key_env: str) -> str:
    """The plan as lines for a POSIX shell; a key that is held by the variable `key_env` is named, not shown."""
    value = f'"${key_env}"' if key_env else shlex.quote(key)
    lines = [f"unset {name}" for name in planned.unset]
    lines += [f"export {name}={shlex.quote(text)}" for name, text in planned.environment.items()]
    lines += [f"export {name}={value}" for name in planned.keyed]
    return "\n".join([*lines, shlex.join(planned.command)])
