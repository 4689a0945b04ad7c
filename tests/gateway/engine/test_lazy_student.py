"""A student that starts when it is first asked, in a gateway that starts again while an adapter of it serves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from distill.day import Day
from tests.gateway.running import Running, Script

_SINCE = "2026-11-24T06:00:00+00:00"


def live(home: Path) -> None:
    """An adapter that serves, and that no engine can load."""
    folder = home / "models" / "adapters" / "tiny-1"
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(b"torn")
    pointer = {"adapter": "tiny-1", "path": str(folder), "digest": "", "since": _SINCE}
    (home / "models" / "live.json").write_text(json.dumps(pointer))


def test_what_serves_is_what_it_starts_for(tiny: Path, teacher: Script, tmp_path: Path) -> None:
    live(tmp_path)
    with Running(tmp_path, "", teacher.url, student__model=str(tiny)) as gateway:
        gateway.wait(lambda health: health["teacher"]["ready"])
        assert not gateway.get("/health")["student"]["ready"]
        status, headers, _ = gateway.chat()
        assert (status, headers["x-nightschool-reason"]) == (200, "student_failed")  # it is not there yet
        gateway.wait(lambda health: health["student"]["ready"], 60)


def test_a_night_hears_that_what_is_to_serve_cannot(tiny: Path, teacher: Script, tmp_path: Path) -> None:
    live(tmp_path)

    async def told(url: str) -> tuple[object, object]:
        async with Day.of_home(url, tmp_path / "data") as day:
            before, now = await day.status(), await day.settled()
            return before["live"]["adapter"], now["live"]

    with Running(tmp_path, "", teacher.url, student__model=str(tiny)) as gateway:
        gateway.wait(lambda health: health["teacher"]["ready"])
        assert asyncio.run(told(gateway.url)) == ("tiny-1", None)
        status = gateway.admin("/admin/status", b"", "GET")[1]
        assert status["not_loaded"]["adapter"] == "tiny-1"
