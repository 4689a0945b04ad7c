"""Whether a night is due on this machine at this moment. Owns where what decides it is found out: the clock, the diary
of nights, the trace store, the gateway that runs, the machine. The decision itself is due's."""

from __future__ import annotations

import asyncio
import platform
import sqlite3
import time

from distill.day import Day, DayError
from distill.night.diary import Diary
from distill.night.pausing import paused
from distill.store.listing import Wanted
from distill.store.schema import StoreError
from distill.store.store import TraceStore
from gateway.schedule.conditions import Answer, Machine, cool, mains, roomy
from gateway.schedule.due import Due, Known, NotDue, due
from gateway.schedule.since import since
from gateway.schedule.zone import local_zone
from gateway.sections import NightSettings, Settings
from gateway.settings import Home, gateway_url, time_zone

_PATIENCE = 10.0  # seconds that a gateway gets to answer


async def look(settings: Settings, home: Home) -> Due | NotDue:
    """Whether a night is due now."""
    now, diary = time.time(), Diary(home.data / "nights")
    if pause := paused(home.data, now):
        return NotDue(pause)
    nights, last = list(diary.until(now)), diary.last_ended(now)
    read = next((one.watermark for one in nights if "filter" in one.stages), 0)
    try:
        new, newest = await _traces(home, read, settings.night.new)
    except (sqlite3.Error, StoreError) as error:
        return NotDue(f"the trace store of {home.data} cannot be read: {error}")
    idle = await _idle(gateway_url(settings), home)
    if idle is None and newest is not None:
        idle = max(0.0, now - newest)
    known = Known(
        now=now,
        zone=local_zone(time_zone()),
        last_begun=nights[0].began if nights else None,
        last_ended=last.ended if last is not None else None,
        since=since(home.data),
        idle=idle,
        new=new,
        conditions=await asyncio.to_thread(_conditions, settings.night, home),
    )
    return due(settings.night, known)


async def _traces(home: Home, watermark: int, enough: int) -> tuple[int, float | None]:
    """How many traces came after the mark, counted up to `enough`, and when the newest of all came."""
    path = home.data / "traces.db"
    if not path.exists():
        return 0, None
    async with await TraceStore.open_to_read(path) as store:
        new = await store.listed(Wanted(after=watermark), limit=enough)
        newest = await store.listed(limit=1)
    return len(new), newest[0].created if newest else None


async def _idle(url: str, home: Home) -> float | None:
    """Seconds since the last request, as the gateway of this home tells; None where none runs or none came."""
    try:
        async with asyncio.timeout(_PATIENCE), Day.of_home(url, home.data) as day:
            told = (await day.status()).get("idle_seconds")
    except (DayError, TimeoutError, ValueError):
        return None
    return float(told) if isinstance(told, int | float) else None


def _conditions(night: NightSettings, home: Home) -> list[Answer]:
    machine = Machine(platform.system())
    power = [mains(machine)] if night.mains else []
    return [*power, cool(machine), roomy((home.data, home.models), night.disk_bytes)]
