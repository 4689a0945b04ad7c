"""Arms of an examination: who is asked, under which name, and with what prompt. Knows nothing of how they answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from distill.errors import ExaminationError
from distill.prompts import Prompt

Role = Literal["base", "prompt", "adapter", "teacher", "other"]
PROMPTED = "prompt-only"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,39}")
_ROLES: dict[str, Role] = {"base": "base", "adapter": "adapter", "teacher": "teacher", PROMPTED: "prompt"}


class Arm(msgspec.Struct, frozen=True):
    """Who is asked: `model` at the endpoint `url` (with /v1; empty: behind the gateway), told `prompt` first."""

    label: str
    role: Role
    model: str
    url: str = ""
    prompt: Prompt | None = None

    @property
    def place(self) -> str:
        """The endpoint as it may be shown: without a password that its address may hold."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", "")) if self.url else "the gateway"


def parse_arm(text: str, role: Role | None = None) -> Arm:
    """An arm as a person writes it: LABEL=MODEL@URL, or LABEL=MODEL for a model behind the gateway. Without a role, the
    labels base, adapter and teacher say it. Raises ExaminationError.
    """
    label, equals, rest = text.partition("=")
    at = max(rest.rfind("@http://"), rest.rfind("@https://"))
    model, url = (rest[:at], rest[at + 1 :]) if at >= 0 else (rest, "")
    if not equals or not model.strip():
        raise ExaminationError(f"'{text}' names no arm: write LABEL=MODEL@URL, or LABEL=MODEL for one of the gateway's")
    if not _LABEL.fullmatch(label):
        raise ExaminationError(f"'{label}' cannot be an arm's label: up to 40 letters, digits, spaces, '.', '_' or '-'")
    try:
        usable = not url or bool(urlsplit(url).hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ExaminationError(f"'{url}' is no endpoint's address")
    return Arm(label, role or _ROLES.get(label, "other"), model.strip(), url.rstrip("/"))


def complete(arms: Sequence[Arm], prompt: Prompt) -> tuple[list[Arm], list[str]]:
    """The arms with the prompt-only one beside the base, and what has to be said where one of the two is missing.

    Raises ExaminationError for two arms of one label.
    """
    found = list(arms)
    notes: list[str] = []
    base = next((arm for arm in found if arm.role == "base"), None)
    if base is None:
        notes.append(
            "base and prompt-only are not in it: no student is known (name one with --arm base=MODEL@URL, or run the "
            "gateway). What an adapter adds cannot be told from what its base does alone."
        )
    elif not any(arm.role == "prompt" for arm in found):
        prompted = msgspec.structs.replace(base, label=PROMPTED, role="prompt", prompt=prompt)
        found.insert(found.index(base) + 1, prompted)
    labels = [arm.label.casefold() for arm in found]
    if twice := next((arm.label for arm in found if labels.count(arm.label.casefold()) > 1), ""):
        raise ExaminationError(f"two arms are called '{twice}'")
    return found, notes


def student_of(arms: Sequence[Arm]) -> Arm | None:
    """The arm that is decided upon: the adapter, else the base, else the first that is no teacher."""
    for role in ("adapter", "base", "other", "prompt"):
        found = next((arm for arm in arms if arm.role == role), None)
        if found is not None:
            return found
    return None
