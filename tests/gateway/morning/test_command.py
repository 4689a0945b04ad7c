"""`nightschool morning`: what it prints, with a gateway and without, and the line that a night prints at its end."""

from __future__ import annotations

import json
import time
from pathlib import Path

from gateway.morning.running import line
from tests.gateway.morning.evenings import add_adapter, add_night, go_live, home_in, marks, verdict_on
from tests.gateway.running import Running, Script, free_port, nightschool

KEYS = ["line", "alarms", "at", "night", "nights", "serving", "canary", "days", "saved", "disk_free"]
KEYS += ["refused", "up", "teacher_down", "paused", "doubted", "notes"]


def morning(home: Path, *options: str, port: int = 9) -> str:
    done = nightschool("morning", *options, home=home, NIGHTSCHOOL_GATEWAY_PORT=str(port))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_home_without_anything_is_told_so_kindly(tmp_path: Path) -> None:
    home = tmp_path / "none"
    home.mkdir()
    assert "Good morning" in morning(home)
    assert morning(home, "--line") == "nothing to tell yet: no night, no requests\n"
    assert list(json.loads(morning(home, "--json"))) == KEYS
    assert list(home.iterdir()) == []


def test_the_line_and_the_page(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    mine = add_adapter(home, verdict_on(marks(32), marks(24)))
    add_night(home, "promoted", began=time.time() - 3600, candidates=[mine])
    assert morning(tmp_path, "--line") == f"promoted {mine.adapter}: 60 → 80 % exact calls\n"
    page = tmp_path / "morning.html"
    assert str(page) in morning(tmp_path, "--html", str(page), "--days", "3")
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(morning(tmp_path, "--json"))["night"]["candidates"][0]["verdict"]["succession"]["gained"] == 8


async def test_a_night_may_print_the_line_at_its_end(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    add_night(home, "nothing", "nothing came", began=time.time() - 60, conversations=9)
    go_live(home, "small-1")
    assert await line(home) == "nothing new to learn; small-1 serves as before"


def test_a_running_gateway_is_asked(student: Script, teacher: Script, tmp_path: Path) -> None:
    with Running(tmp_path, student.url, teacher.url) as running:
        running.wait_ready()
        running.chat("Hi")
        running.wait(lambda health: health["traces"]["written"] == 1)
        found = json.loads(morning(tmp_path, "--json", port=running.port))
        assert (found["up"], found["teacher_down"], found["canary"], found["notes"]) == (True, False, None, [])
        assert found["days"][-1]["requests"] == 1
        assert "No gateway runs" not in morning(tmp_path, port=running.port)


def test_a_teacher_that_cannot_be_reached_is_told(student: Script, tmp_path: Path) -> None:
    with Running(tmp_path, student.url, f"http://127.0.0.1:{free_port()}/v1") as running:
        found = json.loads(morning(tmp_path, "--json", port=running.port))
        assert (found["up"], found["teacher_down"]) == (True, True)
        assert "The teacher cannot be reached now." in found["alarms"]
