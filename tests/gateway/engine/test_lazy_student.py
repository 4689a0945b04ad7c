"""A student that starts when it is first asked, in a gateway that starts again while an adapter of it serves."""

from __future__ import annotations

import json
from pathlib import Path

from tests.gateway.running import Running, Script

_SINCE = "2026-11-24T06:00:00+00:00"


def live(home: Path) -> None:
    """An adapter that serves, and that no engine can load."""
    folder = home / "models" / "adapters" / "tiny-1"
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(b"torn")
    pointer = {"adapter": "tiny-1", "path": str(folder), "digest": "", "since": _SINCE}
    (home / "models" / "live.json").write_text(json.dumps(pointer))


def test_it_starts_with_the_gateway_while_something_serves(tiny: Path, teacher: Script, tmp_path: Path) -> None:
    """And what cannot be loaded is told of before a night learns beside it."""
    with Running(tmp_path, "", teacher.url, student__model=str(tiny)) as gateway:
        gateway.wait(lambda health: health["teacher"]["ready"])
        told = gateway.get("/health")["student"]
        assert (told["ready"], told["eager"]) == (False, False)
    live(tmp_path)
    with Running(tmp_path, "", teacher.url, student__model=str(tiny)) as gateway:
        gateway.wait(lambda health: health["student"]["ready"], 60)
        status = gateway.admin("/admin/status", b"", "GET")[1]
        assert (status["live"], status["not_loaded"]["adapter"]) == (None, "tiny-1")
