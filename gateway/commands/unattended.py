"""What a process sees that the system starts: of the present environment the home and the settings file, no more.

Owns that rule and the command line that is written down for such a process. Knows nothing of who starts it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from gateway import settings
from gateway.sections import Settings
from gateway.settings import Home


class Unattended(msgspec.Struct, frozen=True):
    """The settings that such a process will have, and where it will work."""

    file: Path | None
    profile: str
    chosen: Settings
    folders: Home

    @property
    def home(self) -> Path:
        return self.folders.data.parent

    def command(self, *words: str) -> list[str]:
        """`nightschool` with these words, on these settings."""
        options = (("--config", self.file), ("--profile", self.profile))
        given = [part for option, value in options if value for part in (option, str(value))]
        return [sys.executable, "-m", "gateway.cli", *words, *given]

    @property
    def lacking(self) -> list[str]:
        """A line for each key that it will not find in its environment."""
        chosen = self.chosen
        backends = (chosen.student, chosen.teacher, *chosen.teachers.values())
        keys = sorted({backend.api_key_env for backend in backends} - {""})
        return [f"Your shell's variables are not there: give it {key} as docs/commands.md says" for key in keys]


def unattended(config: Path | None, profile: str, overrides: Any = None) -> Unattended:
    """Raises SettingsError."""
    file = settings.file_in_effect(config)
    folders = settings.home(settings.load(file))
    return Unattended(file, profile, settings.load(file, profile, environment={}, overrides=overrides), folders)
