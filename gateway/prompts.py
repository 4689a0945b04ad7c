"""Prompts by name: those that ship with Nightschool, and files. Owns where they are looked for."""

from __future__ import annotations

from pathlib import Path

from distill.errors import ExaminationError
from distill.prompts import Prompt, read_prompt
from gateway.errors import SettingsError
from gateway.settings import shared


def prompt_named(name: str) -> Prompt:
    """A prompt that ships, by its name, or a .toml file of another. Raises SettingsError for one that is not there, or
    is damaged."""
    try:
        return read_prompt(Path(name).expanduser() if name.endswith(".toml") else _shipped(name))
    except ExaminationError as error:
        raise SettingsError(str(error)) from error


def _shipped(name: str) -> Path:
    known = {file.stem: file for file in shared("data", "prompts").glob("*.toml")}
    if name not in known:
        raise SettingsError(f"there is no prompt '{name}'; there are {', '.join(sorted(known))}")
    return known[name]
