"""Whether a night is due on this machine now, from a real trace store and a real gateway."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from distill.night.diary import Diary, Done
from distill.store.store import TraceStore
from gateway.schedule import since
from gateway.schedule.due import Due, NotDue
from gateway.schedule.now import look
from gateway.schedule.zone import local_zone
from gateway.sections import GatewaySettings, NightSettings, Settings
from gateway.settings import Home, time_zone
from tests.distill.store.made import trace
from tests.gateway.running import Running, free_port


def clock(hours: float) -> str:
    """What the clock shows so many hours from now."""
    return f"{datetime.now(local_zone(time_zone())) + timedelta(hours=hours):%H:%M}"


def settings(begins: float = -2, ends: float = 2, port: int = 0, **night: Any) -> Settings:
    """A machine that may be as it is, in a window from so many hours from now to so many."""
    machine = {"mains": False, "disk_bytes": 0, "new": 3}
    chosen = NightSettings(at=clock(begins), until=clock(ends), **{**machine, **night})
    return Settings(gateway=GatewaySettings(port=port or free_port()), night=chosen)


async def filled(folder: Path, *seconds_ago: float) -> Home:
    """A home with a trace for each age, the last of them the newest."""
    home = Home(folder / "data", folder / "models")
    home.data.mkdir(exist_ok=True)
    now = time.time()
    async with await TraceStore.open(home.data / "traces.db") as store:
        await store.insert([trace(f"t{number}", created=now - ago) for number, ago in enumerate(seconds_ago)])
    return home


def ended(home: Home, watermark: int, when: float) -> None:
    """A night that read up to this trace."""
    diary = Diary(home.data / "nights")
    record = diary.begin("inputs", watermark, "", when - 10)
    record.stages["filter"] = Done(when, 1.0)
    diary.end(record, "nothing", "", when)


async def test_a_night_is_due_where_there_is_enough_that_is_new(tmp_path: Path) -> None:
    home = await filled(tmp_path, 5000, 4000, 3000, 2000)
    found = await look(settings(), home)
    assert isinstance(found, Due)
    assert 7000 < found.seconds <= 7200
    ended(home, 1, time.time() - 80_000)
    assert isinstance(await look(settings(), home), Due)
    ended(home, 2, time.time() - 70_000)
    few = await look(settings(), home)
    assert few == NotDue("2 traces are new since the last night, and night.new wants 3")
    ended(home, 1, time.time() - 60)
    found = await look(settings(), home)
    assert isinstance(found, NotDue)
    assert found.reason.startswith("the night of these hours ended at")


async def test_without_a_gateway_the_newest_trace_tells_how_long_it_has_been_quiet(tmp_path: Path) -> None:
    home = await filled(tmp_path, 5000, 4000, 100)
    found = await look(settings(), home)
    assert isinstance(found, NotDue)
    assert "night.idle" in found.reason
    assert isinstance(await look(settings(idle=90.0), home), Due)


async def test_a_home_without_traces_or_with_damaged_ones_has_no_night(tmp_path: Path) -> None:
    home = Home(tmp_path / "data", tmp_path / "models")
    assert await look(settings(), home) == NotDue("0 traces are new since the last night, and night.new wants 3")
    assert isinstance(await look(settings(new=0), home), Due)
    home.data.mkdir()
    (home.data / "traces.db").write_bytes(b"no database at all" * 100)
    damaged = await look(settings(), home)
    assert isinstance(damaged, NotDue)
    assert "cannot be read" in damaged.reason


async def test_what_was_missed_counts_from_when_there_is_a_schedule(tmp_path: Path) -> None:
    home = await filled(tmp_path, 5000, 4000, 3000)
    missed, now = settings(-4, -3), time.time()
    assert isinstance(await look(missed, home), NotDue)
    since.begin(home.data, now - 5 * 3600)
    since.begin(home.data, now)  # there is one already
    found = await look(missed, home)
    assert isinstance(found, Due)
    assert found.seconds == pytest.approx(3600, abs=1)
    since.end(home.data)
    since.end(home.data)
    assert isinstance(await look(missed, home), NotDue)
    (home.data / "schedule.json").write_text("[]")
    assert since.since(home.data) is None


async def test_the_disk_has_to_have_room(tmp_path: Path) -> None:
    home = await filled(tmp_path, 5000, 4000, 3000)
    found = await look(settings(disk_bytes=10**18), home)
    assert isinstance(found, NotDue)
    assert "GB are free" in found.reason


@pytest.mark.gateways
async def test_a_gateway_tells_how_long_it_has_been_quiet(gateway: Running) -> None:
    """Requests that leave no trace count, and what asks for no answer does not."""
    home, chosen = Home(gateway.home / "data", gateway.home / "models"), settings(port=gateway.port, new=0)
    assert gateway.admin("/admin/status", b"", "GET")[1]["idle_seconds"] is None
    assert isinstance(await look(chosen, home), Due)
    asked = {"model": "nightschool", "messages": [{"role": "user", "content": "Hi"}]}
    assert gateway.call("/v1/chat/completions", asked, headers={"x-nightschool-no-trace": "1"})[0] == 200
    told = [gateway.admin("/admin/status", b"", "GET")[1]["idle_seconds"] for _ in range(2)]
    assert 0 <= told[0] < told[1] < 60
    found = await look(chosen, home)
    assert isinstance(found, NotDue)
    assert "night.idle" in found.reason
