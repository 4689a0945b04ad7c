"""Gathering: diary, cards, pointers, store and gateway into one Morning. Only reads; knows nothing of what it means.

A home without any of it gives an empty Morning, and what is damaged is noted.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from distill.night.diary import began_at
from distill.night.doubting import DoubtError, doubting
from distill.night.pausing import paused
from distill.store.schema import StoreError
from distill.store.store import TraceStore
from gateway.agents.presence import answers
from gateway.answering.promotion import Live, folder_of, holds_adapter
from gateway.answering.routing import Routing
from gateway.errors import StartError
from gateway.experiments.book import Entry
from gateway.morning.morning import CanaryNow, DayTraffic, Morning, Saved, Serving
from gateway.morning.nights import card_of, nights_of, read_object
from gateway.morning.traffic import days_of
from gateway.morning.wording import readable
from gateway.settings import Home
from gateway.watching.status import ask

_DAY = 86_400


async def gather(home: Home, url: str, days: int, now: float) -> Morning:
    """What there is of the last `days` days. `url` is the address of the gateway, which is asked if one is there; "":
    none is."""
    notes: list[str] = []
    told = await _told(url, home, notes)
    nights = await asyncio.to_thread(nights_of, home, now - days * _DAY, now, notes)
    traffic, saved = await _traffic(home.data / "traces.db", days, now, notes)
    return Morning(
        at=now,
        night=nights.last,
        nights=nights.since,
        refused=nights.refused,
        serving=_serving(home, told, notes),
        canary=canary_of(told.get("canary"), notes),
        days=traffic,
        saved=saved,
        disk_free=_free(home.data),
        up=bool(told),
        teacher_down=_down(told),
        paused=await asyncio.to_thread(paused, home.data, now),
        doubted=await asyncio.to_thread(_doubted, home, notes),
        notes=[readable(note) for note in notes],
    )


async def _told(url: str, home: Home, notes: list[str]) -> dict[str, Any]:
    """What a running gateway tells; nothing where there is none, or where it does not tell, which is noted."""
    if not url or not await asyncio.to_thread(answers, url):
        return {}
    told, trouble = await ask(url, home.data)
    if trouble:
        notes.append(f"the gateway at {url} does not tell what it does: {trouble}")
    return told


async def _traffic(store: Path, days: int, now: float, notes: list[str]) -> tuple[list[DayTraffic], Saved]:
    today = int(now // _DAY)
    first = today - days + 1
    if not await asyncio.to_thread(store.exists):
        return days_of([], [], first, today)
    try:
        async with await TraceStore.open_to_read(store) as traces:
            return days_of(await traces.sums(first), await traces.took(first), first, today)
    except (sqlite3.Error, StoreError) as error:
        notes.append(f"the trace store {store} cannot be read: {error}")
        return [], Saved()


def _serving(home: Home, told: dict[str, Any], notes: list[str]) -> Serving:
    pointed = read_object(home.models / "live.json", Live, notes)
    lost = pointed is not None and (bool(told.get("not_loaded")) or not holds_adapter(folder_of(pointed, home)))
    live = None if lost else pointed
    adapter = live.adapter if live is not None else ""
    card = card_of(home, adapter, notes)
    found = Serving(
        adapter,
        since=live.since if live is not None else "",
        before=str(((live.previous if live is not None else None) or {}).get("adapter") or ""),
        base=str(card.get("base") or ""),
        parent=str(card.get("parent") or ""),
        learnt_until=began_at(str(card.get("night") or "")),
        missing_adapter=pointed.adapter if lost and pointed is not None else "",
    )
    return _certified(home, found, str((told.get("router") or {}).get("teachers") or ""), notes)


def _certified(home: Home, serving: Serving, teachers: str, notes: list[str]) -> Serving:
    """With what it has proven. `teachers` are those that answer now, "" where nobody tells."""
    try:
        kept = Routing(home).of(serving.adapter)
    except StartError as error:
        notes.append(f"what was certified cannot be read: {error}")
        return serving
    if kept is None:
        return serving
    certificate = kept.certificate
    other = certificate is not None and bool(teachers) and certificate.scope.teacher != teachers
    return msgspec.structs.replace(
        serving,
        certified=certificate.groups if certificate is not None and not other else {},
        missing=kept.missing,
        teacher=certificate.scope.teacher if certificate is not None and other else "",
        broken=kept.broken,
    )


def canary_of(told: object, notes: list[str]) -> CanaryNow | None:
    """The canary out of what the gateway tells, None where there is none."""
    if not told:
        return None
    try:
        entry = msgspec.convert(told, Entry)
    except msgspec.ValidationError as error:
        notes.append(f"what the gateway tells of its canary cannot be read: {error}")
        return None
    if entry.canary is None:
        return None
    candidate, labels = entry.experiment.arms[1], entry.canary.labels
    return CanaryNow(candidate.adapter or "", candidate.weight, labels.seen, labels.bad, entry.canary.paused)


def _doubted(home: Home, notes: list[str]) -> dict[str, int]:
    try:
        return doubting(home.data / "nights")
    except DoubtError as error:
        notes.append(str(error))
        return {}


def _down(told: dict[str, Any]) -> bool:
    """Whether the first teacher is elsewhere and cannot be asked; a local one starts when it is needed."""
    return bool(told) and "teacher" not in told["processes"] and not told["teacher"]["ready"]


def _free(folder: Path) -> int:
    place = next(one for one in (folder, *folder.parents) if one.exists())
    return shutil.disk_usage(place).free
