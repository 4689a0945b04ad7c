"""`nightschool status`: what serves now, what today brought, how the last night ended.

Owns the figures and how they are told. The gateway is asked if it is up; the rest is read from the two state folders,
so that it is there without one. Nothing is changed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from distill.day import Day, DayError
from distill.night.diary import Diary
from distill.night.pausing import paused
from distill.store.schema import StoreError
from distill.store.store import Answered, TraceStore
from gateway.agents.presence import answers
from gateway.answering.pinning import serving
from gateway.settings import Home

DOWN = 3  # the exit code when no gateway answers
_PATIENCE = 10.0  # seconds that a gateway gets to answer
_PAUSE = 2.0  # seconds between two looks of --watch
_GB = 1e9


_RECORDER = {"waiting": "traces wait", "spooled": "lie beside the store", "dropped": "were dropped"}


class ArmStatus(msgspec.Struct, frozen=True):
    """The student or a teacher: requests it is answering and those that wait for it. An endpoint elsewhere has no
    process and tells no memory."""

    model: str
    ready: bool
    local: bool
    in_flight: int
    waiting: int
    pid: int | None = None
    peak_memory_bytes: int | None = None


class Pace(msgspec.Struct, frozen=True):
    """Seconds that completed requests took; None where there were none."""

    requests: int
    median: float | None
    p95: float | None


class Traffic(msgspec.Struct, frozen=True):
    """The recorded requests since `since` (local time), by who answered, why, and how they ended."""

    since: str
    requests: int
    student_share: float | None
    reasons: dict[str, int]
    states: dict[str, int]
    seconds: dict[str, Pace]  # by arm, and "all"


class NightStatus(msgspec.Struct, frozen=True):
    """The last night, as its diary has it, in local time. `ended` is None and `outcome` "" for one that is not over;
    `after` is the last stage that is over, `adapter` the one that was proposed, or the best of those refused."""

    night: str
    began: str
    ended: str | None
    outcome: str
    reason: str
    after: str
    adapter: str


class Status(msgspec.Struct, frozen=True):
    """What `status --json` prints; every key is always there. `note` says what could not be found out,
    `paused` that nights learn nothing; "": they do."""

    url: str
    up: bool
    note: str
    arms: dict[str, ArmStatus]
    recorder: dict[str, Any] | None
    leased_bytes: int
    live: dict[str, Any] | None
    not_loaded: dict[str, Any] | None
    router: dict[str, Any] | None
    canary: dict[str, Any] | None
    pin: dict[str, Any] | None
    paused: str
    today: Traffic | None
    night: NightStatus | None


async def tell_status(url: str, home: Home, console: Console, *, as_json: bool, watch: bool) -> bool:
    """Tell once, or with `watch` again and again until it is interrupted; whether the gateway is up."""
    found = await look(url, home)
    if as_json:
        while True:
            console.file.write(msgspec.json.encode(found).decode() + "\n")
            if not watch:
                return found.up
            console.file.flush()
            await asyncio.sleep(_PAUSE)
            found = await look(url, home)
    if not watch:
        console.print(as_table(found))
        return found.up
    with Live(as_table(found), console=console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_PAUSE)
            live.update(as_table(await look(url, home)), refresh=True)


async def look(url: str, home: Home) -> Status:
    """Ask the gateway and read the folders."""
    told, notes = await ask(url, home.data)
    up = bool(told) or await asyncio.to_thread(answers, url)
    today, trouble = await _today(_store(home))
    return Status(
        url=url,
        up=up,
        note="; ".join(filter(None, [notes if up else "", trouble])),
        arms=_arms(told),
        recorder=told.get("traces"),
        leased_bytes=int(told.get("leased_bytes", 0)),
        live=told.get("live") if told else object_in(home.models / "live.json"),
        not_loaded=told.get("not_loaded"),
        router=told.get("router"),
        canary=told.get("canary"),
        pin=told.get("pin") if told else object_in(home.models / "pin.json"),
        paused=paused(home.data, time.time()),
        today=today,
        night=await asyncio.to_thread(last_night, home.data),
    )


async def ask(url: str, data: Path) -> tuple[dict[str, Any], str]:
    """What the gateway tells those who hold the admin key; nothing, and why, if it does not."""
    try:
        async with asyncio.timeout(_PATIENCE), Day.of_home(url, data) as day:
            return await day.status(), ""
    except TimeoutError:
        return {}, f"the gateway did not answer within {_PATIENCE:g} s"
    except (DayError, ValueError) as error:
        return {}, str(error)


def _arms(told: dict[str, Any]) -> dict[str, ArmStatus]:
    """The arms by name, further teachers by theirs."""
    arms = {name: told[name] for name in ("student", "teacher") if name in told} | told.get("teachers", {})
    return {
        name: ArmStatus(
            model=arm["model"],
            ready=arm["ready"],
            local=name in told["processes"],
            in_flight=arm["in_flight"],
            waiting=arm.get("waiting", 0),
            pid=told["processes"].get(name, {}).get("pid"),
            peak_memory_bytes=told["memory"].get(name),
        )
        for name, arm in arms.items()
    }


def _store(home: Home) -> Path | None:
    """The trace store; None where no gateway ever ran."""
    path = home.data / "traces.db"
    return path if path.exists() else None


async def _today(store: Path | None) -> tuple[Traffic | None, str]:
    """Today's traffic, and what keeps it from being read."""
    now = time.localtime()
    midnight = time.mktime((now.tm_year, now.tm_mon, now.tm_mday, 0, 0, 0, 0, 0, -1))
    if store is None:
        return traffic([], midnight), ""
    try:
        async with await TraceStore.open_to_read(store) as traces:
            return traffic(await traces.answered_since(midnight), midnight), ""
    except (sqlite3.Error, StoreError) as error:
        return None, f"the trace store {store} cannot be read: {error}"


def traffic(answered: Sequence[Answered], since: float) -> Traffic:
    """Add up what became of requests."""
    took = {arm: [one for one in answered if one.arm == arm] for arm in ("student", "teacher")}
    return Traffic(
        since=_local(since),
        requests=len(answered),
        student_share=len(took["student"]) / len(answered) if answered else None,
        reasons=dict(Counter(one.reason for one in answered).most_common()),
        states=dict(Counter(one.state for one in answered).most_common()),
        seconds={"all": _pace(answered), **{arm: _pace(ones) for arm, ones in took.items()}},
    )


def _pace(answered: Sequence[Answered]) -> Pace:
    seconds = sorted(one.seconds for one in answered if one.state == "completed" and one.seconds is not None)
    if not seconds:
        return Pace(len(answered), None, None)
    return Pace(len(answered), _quantile(seconds, 50), _quantile(seconds, 95))


def _quantile(ordered: Sequence[float], percent: int) -> float:
    """The least value that `percent` of them do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def last_night(data: Path) -> NightStatus | None:
    """What the diary has of the newest night; one that was given up for another is none."""
    record = next((one for one in Diary(data / "nights").until(time.time()) if one.outcome != "abandoned"), None)
    if record is None:
        return None
    return NightStatus(
        night=record.name,
        began=_local(record.began),
        ended=None if record.ended is None else _local(record.ended),
        outcome=record.outcome,
        reason=record.reason,
        after=next(reversed(record.stages), ""),
        adapter=record.chosen,
    )


def _local(seconds: float) -> str:
    """A moment in this machine's time zone, for people and programs."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="seconds")


def object_in(path: Path) -> dict[str, Any] | None:
    """A small JSON object of a state folder; None when it is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None


def as_table(found: Status) -> RenderableType:
    """The status for a person."""
    state = Text("up", "green") if found.up else Text("down (start it with: nightschool serve)", "red")
    parts: list[RenderableType] = [Text.assemble(f"Gateway at {found.url}: ", state)]
    if found.note:
        parts.append(Text(found.note, "yellow"))
    if found.arms:
        parts += [_arms_table(found.arms), *map(Text, _counts(found))]
    live = found.live
    parts.append(Text(f"Live adapter: {live['adapter']} since {live['since']}" if live else "Live adapter: none"))
    if (missing := found.not_loaded) is not None:
        parts.append(Text(f"{missing['adapter']} should serve and cannot be loaded: {missing['reason']}", "red"))
    if found.pin is not None:
        parts.append(Text(f"Pinned: {serving(found.pin['adapter'])} since {found.pin['since']}", "yellow"))
    parts += [Text(line) for line in (_proven_line(found.router), _canary_line(found.canary)) if line]
    parts.append(Text(_night_line(found.night)))
    if found.paused:
        parts.append(Text(f"Nights: {found.paused}", "yellow"))
    if found.today is not None:
        parts.append(Text(_today_line(found.today)))
    if found.today is not None and found.today.requests:
        parts.append(_today_table(found.today))
    return Group(*parts)


def _arms_table(arms: dict[str, ArmStatus]) -> Table:
    table = Table("arm", "model", "state", "where", "pid", "peak memory", "in flight", "waiting", box=None)
    for name, arm in arms.items():
        memory = "-" if arm.peak_memory_bytes is None else f"{arm.peak_memory_bytes / _GB:.1f} GB"
        asleep = arm.local and arm.pid is None  # a local model starts when it is first asked
        state = "ready" if arm.ready else "not started" if asleep else "not ready"
        where = "local" if arm.local else "remote"
        counts = [str(arm.in_flight), str(arm.waiting)]
        table.add_row(name, arm.model or "not known yet", state, where, str(arm.pid or "-"), memory, *counts)
    return table


def _counts(found: Status) -> list[str]:
    lines = [f"Lent to the night: {found.leased_bytes / _GB:.1f} GB"] if found.leased_bytes else []
    recorder = found.recorder or {}
    if any(recorder.get(name) for name in ("waiting", "spooled", "dropped", "error")):
        counts = [f"{recorder.get(name, 0)} {told}" for name, told in _RECORDER.items()]
        lines.append(f"Recorder: {', '.join(counts)} {recorder.get('error') or ''}".rstrip())
    return lines


def _proven_line(router: dict[str, Any] | None) -> str:
    """What the live student has proven, and what is missing."""
    if router is None:
        return ""
    groups = (router["certificate"] or {}).get("groups", {})
    proven = [f"{group} from {one['threshold']:.2f} on" for group, one in groups.items()]
    lacking = [f"{group}, {_lacking(one['more'])}" for group, one in router["missing"].items()]
    told = f"Certified: {', '.join(proven) or 'nothing'}"
    broken = f"; the one before is broken ({router['broken']})" if router["broken"] else ""
    return told + (f"; not {'; not '.join(lacking)}" if lacking else "") + broken


def _lacking(more: int | None) -> str:
    return "for which the student has to become better" if more is None else f"about {more} labels are missing"


def _canary_line(canary: dict[str, Any] | None) -> str:
    if canary is None:
        return ""
    candidate = canary["experiment"]["arms"][1]
    labels, paused = canary["canary"]["labels"], canary["canary"]["paused"]
    state = f"paused, {paused}" if paused else f"{candidate['weight']:.0%} of the conversations"
    return f"Canary: {candidate['adapter']}, {state}; {labels['bad']} of {labels['seen']} compared answers were worse"


def _night_line(night: NightStatus | None) -> str:
    if night is None:
        return "Last night: there was none yet"
    reason = f": {night.reason}" if night.reason else ""
    if night.ended is None:
        stands = f"after '{night.after}'" if night.after else "at its beginning"
        return f"Last night: not over, it stands {stands}{reason} (began {night.began})"
    adapter = f", {night.adapter}" if night.adapter else ""
    return f"Last night: {night.outcome}{adapter}{reason} ({night.ended})"


def _today_line(today: Traffic) -> str:
    if not today.requests:
        return "Today: no requests"
    reasons = ", ".join(f"{reason} {count}" for reason, count in today.reasons.items())
    bad = ", ".join(f"{count} {state}" for state, count in today.states.items() if state != "completed")
    served = f"{today.student_share or 0:.0%} by the student"
    return f"Today: {today.requests} requests, {served}; {reasons}" + (f"; {bad}" if bad else "")


def _today_table(today: Traffic) -> Table:
    table = Table("answered by", "requests", "median seconds", "95 % within", box=None)
    for arm, pace in today.seconds.items():
        figures = ["-" if value is None else f"{value:.2f}" for value in (pace.median, pace.p95)]
        table.add_row(arm, str(pace.requests), *figures)
    return table
