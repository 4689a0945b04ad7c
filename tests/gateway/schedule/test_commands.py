"""`nightschool schedule` as a person types it, with a crontab or a service manager that keeps a record."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.processes.managing import put_managers
from tests.gateway.running import nightschool
from tests.gateway.schedule.cron import put_crontab

SETTINGS = """\
[student]
model = "embedded"
[teacher]
url = "http://127.0.0.1:9/v1"
api_key_env = "TKEY"
[night]
at = "23:00"
until = "04:30"
"""
Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def schedule(tmp_path: Path) -> Typed:
    """The command in a home of its own."""
    (tmp_path / "nightschool.toml").write_text(SETTINGS)
    folder = put_managers(tmp_path / "bin")
    put_crontab(folder)
    user = tmp_path / "user"
    places = {"HOME": str(user), "XDG_CONFIG_HOME": str(user / "xdg"), "PATH": f"{folder}:{os.environ['PATH']}"}

    def typed(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return nightschool("schedule", *arguments, home=tmp_path, **{**places, **more})

    return typed


def written(home: Path) -> str:
    """All that was installed, in the order in which it is shown."""
    files = [path for path in (home / "user").rglob("*night*") if path.is_file()]
    table = home / "bin" / "table"
    return "".join(file.read_text() for file in (*sorted(files, reverse=True), *([table] if table.exists() else [])))


def test_what_is_shown_is_installed_and_told_and_removed(schedule: Typed, tmp_path: Path) -> None:
    shown = schedule("show", "--profile", "remote")
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr.startswith("# ")
    for part in (sys.executable, "night", "--scheduled", str(tmp_path / "nightschool.toml"), "remote", str(tmp_path)):
        assert part in shown.stdout
    assert written(tmp_path) == ""
    before = schedule("status")
    assert before.returncode == 3
    assert before.stdout.startswith("Not installed")
    for _ in range(2):
        installed = schedule("install", "--profile", "remote")
        assert installed.returncode == 0, installed.stderr
        assert "TKEY" in installed.stdout
        assert written(tmp_path) == shown.stdout
    mark = (tmp_path / "data" / "schedule.json").read_bytes()
    assert schedule("install").returncode == 0
    assert "remote" not in written(tmp_path)
    assert (tmp_path / "data" / "schedule.json").read_bytes() == mark
    after = schedule("status")
    assert after.returncode == 0
    told = after.stdout.splitlines()
    assert told[0].startswith("Installed: ")
    assert told[-2].startswith("It asks again at ")
    assert told[-2].endswith(", 23:00")
    assert told[-1].startswith("No night would begin now: ")
    for word in ("Removed", "nothing to remove"):
        gone = schedule("remove")
        assert gone.returncode == 0
        assert word in gone.stdout
        assert written(tmp_path) == ""
    assert not (tmp_path / "data" / "schedule.json").exists()


def test_what_no_night_could_work_with_is_not_installed(schedule: Typed, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    wrong = {
        '[student]\nurl = "http://127.0.0.1:9/v1"\n[teacher]\nurl = "http://127.0.0.1:9/v1"\n': "set student.model",
        "": "nightschool init",
        f'{SETTINGS}\n[canary]\non = "perhaps"\n': "canary.on",
        SETTINGS.replace("23:00", "25:00"): "night.at must be a time of day from 00:00 to 23:59, such as 01:00",
        SETTINGS.replace("23:00", "04:30"): "night.at and night.until are both 04:30",
    }
    for content, reason in wrong.items():
        file.write_text(content)
        done = schedule("install", "--config", str(file))
        assert done.returncode == 1
        assert reason in done.stderr
    assert written(tmp_path) == ""
    assert not (tmp_path / "data" / "schedule.json").exists()
