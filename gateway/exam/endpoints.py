"""Who can be examined here: the arms of a gateway that runs, and a client and the memory of each endpoint.

Owns how arms are found and reached. Knows nothing of questions or scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import msgspec
from openai import AsyncOpenAI, OpenAIError

from distill.day import Day, DayError, serves
from distill.examination.arms import Arm, Role
from gateway.errors import SettingsError
from gateway.sections import Settings
from gateway.settings import Home

_ATTEMPTS = 2  # retries of a request: an endpoint with a limit of requests a minute is waited for
_PATIENCE = 10.0  # seconds that an endpoint may take to tell its memory


class Behind(msgspec.Struct, frozen=True):
    """What a gateway has: its base model, live adapter and teacher by their models' names; "" where there is none."""

    base: str
    adapter: str
    teacher: str
    memory: Mapping[str, str]  # the arm that the gateway tells the memory of, by model


async def look_behind(day: Day, settings: Settings) -> Behind:
    """What the gateway says, which may have other settings than these; they tell of an arm that nobody has met yet.
    Raises DayError where the gateway does not answer."""
    told = await day.status()
    live = serves(told)
    base = teacher = ""
    if told["student"].get("model") or settings.student.model or settings.student.url:
        base = await _base(day, told, live)
    if told["teacher"].get("model") or settings.teacher.model or settings.teacher.url:
        teacher = str(told["teacher"].get("model") or "teacher")
    arms = {teacher: "teacher", "teacher": "teacher"}
    arms |= {str(arm.get("model")): label for label, arm in told.get("teachers", {}).items()}
    arms |= dict.fromkeys([base, "student", *told.get("adapters", {})], "student")
    return Behind(base, live, teacher, arms)


async def _base(day: Day, told: Mapping[str, Any], live: str) -> str:
    """The student's model without any adapter; by the arm's name where nobody has asked its endpoint yet."""
    if not live:
        return str(told["student"].get("model") or "student")
    async with day.client() as client:
        try:
            listed = (await client.models.list()).data
        except OpenAIError as error:
            raise DayError(f"the gateway does not list its models: {error}") from error
    parents = {model.id: str(getattr(model, "parent", "") or "") for model in listed}
    return parents.get(live) or "student"


async def add_adapter(day: Day, name: str, home: Home) -> bool:
    """Have an adapter of models/adapters loaded; whether it was not there before. Raises SettingsError or DayError."""
    folder = home.models / "adapters" / name
    if "/" in name or name.startswith(".") or not (folder / "adapters.safetensors").is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.parent.glob("*/adapters.safetensors"))) or "none"
        raise SettingsError(f"there is no adapter '{name}' in {home.models / 'adapters'}; there are {known}")
    if name in (await day.status()).get("adapters", {}):
        return False
    await day.add_adapter(name, folder)
    return True


def chosen(named: Sequence[Arm], behind: Behind | None, adapter: str) -> tuple[list[Arm], list[str]]:
    """The arms that were named, with those of the gateway that belong beside them, and what has to be said.

    A base stands beside whatever is examined; the live adapter and the gateway's teacher where nobody else was named in
    their place.
    """
    mine: list[Arm] = []
    roles = {arm.role for arm in named}
    others = any(arm.role != "teacher" for arm in named)
    notes: list[str] = []
    if behind is not None:
        wanted: list[tuple[Role, str]] = [("base", behind.base)]
        if adapter or not others:
            wanted.append(("adapter", adapter or behind.adapter))
        if not named:
            wanted.append(("teacher", behind.teacher))
        mine = [Arm(role, role, model) for role, model in wanted if model and role not in roles]
        if not others and not adapter and not behind.adapter:
            notes.append("no adapter is live: name one of models/adapters with --adapter to examine it.")
    order = ["base", "prompt", "adapter", "other", "teacher"]
    return sorted([*mine, *named], key=lambda arm: order.index(arm.role)), notes


def client_of(arm: Arm, day: Day | None, key: str, seconds: float) -> AsyncOpenAI:
    """A client for an arm; `seconds` for one answer. Nothing that it asks the gateway leaves a trace."""
    if arm.url:
        return AsyncOpenAI(base_url=arm.url, api_key=key or "none", max_retries=_ATTEMPTS, timeout=seconds)
    if day is None:
        raise SettingsError(f"the arm '{arm.label}' has no address, and no gateway is known: write LABEL=MODEL@URL")
    return day.client().with_options(timeout=seconds, max_retries=_ATTEMPTS)


async def peak_memory(arm: Arm, day: Day | None, behind: Behind | None) -> int | None:
    """Bytes that the model's process has taken at most; None where nobody tells. The gateway tells it of its own
    processes, and so does /health of our engines."""
    try:
        if arm.url:
            return await _told_by(arm.url)
        if day is None or behind is None:
            return None
        memory = (await day.status()).get("memory", {})
        return int(memory[behind.memory[arm.model]])
    except (DayError, httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, KeyError, RecursionError):
        return None


async def _told_by(url: str) -> int | None:
    root = url.rstrip("/").removesuffix("/v1")
    async with httpx2.AsyncClient(timeout=_PATIENCE) as http:
        told = (await http.get(f"{root}/health")).json()
    size = told.get("peak_memory_bytes") if isinstance(told, dict) else None
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None
