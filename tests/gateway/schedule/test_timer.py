"""The timer: what is written for launchd, systemd and cron, and how it comes and goes.

Their places are taken by programs that keep a record of how they were called, and by a crontab in a file.
"""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.processes.unit import Job
from gateway.schedule.crontab import MARK, Crontab
from gateway.schedule.timer import Kind, Timer, kind_here, make_timer
from tests.gateway.processes.managing import calls, put_managers, put_program
from tests.gateway.schedule.cron import put_crontab

COMMAND = [sys.executable, "-m", "gateway.cli", "night", "--scheduled", "--config", '/a b/$HOME "1%" \\% & <x>\'.toml']
OTHERS = "# mine\nMAILTO=me\n\n5 4 * * * echo 'é' \\% > /dev/null\t \r\n@reboot x # nightschool schedules\n"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of a user's own, with the managers and a crontab on the PATH."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = put_managers(tmp_path / "bin")
    put_crontab(folder)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return tmp_path / "user"


def job(folder: Path, *more: str) -> Job:
    return Job([*COMMAND, *more], folder / "a home", "night.log")


def timer(kind: Kind, folder: Path, *more: str) -> Timer:
    return make_timer(kind, job(folder, *more))


def test_launchd_is_told_the_command_and_the_half_hours(tmp_path: Path) -> None:
    ((place, content),) = timer("launchd", tmp_path).shown()
    assert place.endswith("/Library/LaunchAgents/local.nightschool.night.plist")
    told = plistlib.loads(content.encode())
    assert told["Label"] == "local.nightschool.night"
    assert told["ProgramArguments"] == COMMAND
    assert told["EnvironmentVariables"] == {"NIGHTSCHOOL_HOME": str(tmp_path / "a home")}
    assert told["StandardOutPath"] == told["StandardErrorPath"] == str(tmp_path / "a home/data/logs/night.log")
    assert told["StartCalendarInterval"] == [{"Minute": 0}, {"Minute": 30}]
    assert "RunAtLoad" not in told
    assert "KeepAlive" not in told


def test_systemd_is_told_the_command_and_the_half_hours(tmp_path: Path) -> None:
    (timed, started), (run, service) = timer("systemd", tmp_path).shown()
    assert (Path(timed).name, Path(run).name) == ("nightschool-night.timer", "nightschool-night.service")
    assert "OnCalendar=*:0/30" in started.splitlines()
    assert "Type=oneshot" in service.splitlines()
    assert '"night" "--scheduled" "--config" "/a b/$$HOME \\"1%%\\" \\\\%% & <x>\'.toml"' in service
    assert f'Environment="NIGHTSCHOOL_HOME={tmp_path}/a home"' in service.splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_every_line(user: Path, tmp_path: Path) -> None:
    for place, content in timer("systemd", tmp_path).shown():
        (tmp_path / Path(place).name).write_text(content)
    files = [str(file) for file in sorted(tmp_path.glob("nightschool-night.*"))]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    verify = ["systemd-analyze", "--user", "verify", *files]
    done = subprocess.run(verify, env=environment, capture_output=True, text=True, check=False)
    assert (len(files), done.returncode, done.stderr) == (2, 0, "")
    calendar = ["systemd-analyze", "calendar", "*:0/30"]
    told = subprocess.run(calendar, capture_output=True, text=True, check=True).stdout
    assert "*-*-* *:00/30:00" in told


STARTED = {
    "launchd": ["launchctl bootout gui/UID/local.nightschool.night", "launchctl bootstrap gui/UID {plist}"],
    "systemd": [
        "systemctl --user daemon-reload",
        "systemctl --user enable nightschool-night.timer",
        "systemctl --user restart nightschool-night.timer",
    ],
}
STOPPED = {
    "launchd": ["launchctl bootout gui/UID/local.nightschool.night"],
    "systemd": ["systemctl --user disable --now nightschool-night.timer", "systemctl --user daemon-reload"],
}


@pytest.mark.parametrize("kind", ["launchd", "systemd"])
def test_it_comes_and_goes_and_twice_is_as_once(user: Path, tmp_path: Path, kind: Kind) -> None:
    made, folder = timer(kind, tmp_path), tmp_path / "bin"
    files = {Path(place): content for place, content in made.shown()}
    assert all(place.is_relative_to(user) for place in files)
    first = next(iter(files))
    assert made.standing() == (False, [f"Not installed: there is no {first}"])
    expected = [call.format(plist=first) for call in STARTED[kind]]
    for word in ("Wrote {}", "{} is as it should be"):
        told = made.install()
        assert told[:-1] == [word.format(place) for place in files]
        assert told[-1].endswith(str(tmp_path / "a home/data/logs/night.log"))
        assert calls(folder) == expected
        assert {place: place.read_text() for place in files} == files
        assert (tmp_path / "a home/data/logs").is_dir()
    assert made.standing() == (True, [*(f"Installed: {place}" for place in files), "Running"])
    calls(folder)
    timer(kind, tmp_path, "--profile", "embedded").install()
    assert "embedded" in "".join(place.read_text() for place in files)
    calls(folder)
    assert made.remove() == [f"Removed {place}" for place in files]
    assert calls(folder) == STOPPED[kind]
    assert not [place for place in files if place.exists()]
    assert "nothing to remove" in made.remove()[0]
    assert calls(folder) == []


@pytest.mark.parametrize("kind", ["launchd", "systemd"])
def test_a_manager_that_refuses_is_told_with_what_to_type(user: Path, tmp_path: Path, kind: Kind) -> None:
    put_managers(tmp_path / "bin", code=1)
    with pytest.raises(StartError, match=r"the timer did not start \(no bus\): type this yourself: [ls]"):
        timer(kind, tmp_path).install()
    assert timer(kind, tmp_path).standing()[1][-1] == "Not running (no bus)"
    assert "then type" in timer(kind, tmp_path).remove()[-1]


@pytest.mark.parametrize(
    ("kind", "checker", "said"),
    [
        ("launchd", "plutil", 'echo "$2: Unexpected character" >&2; exit 1'),
        ("systemd", "systemd-analyze", 'echo "$3:6: Failed to parse calendar specification, ignoring" >&2'),
        ("systemd", "systemd-analyze", 'echo "nightschool-night.service: Command x is not executable" >&2; exit 1'),
    ],
)
def test_a_file_that_its_checker_refuses_is_not_written(
    user: Path, tmp_path: Path, kind: Kind, checker: str, said: str
) -> None:
    put_program(tmp_path / "bin" / checker, said)
    reason = r"was not installed.*: nightschool-night\.\w+:|local\.nightschool\.night\.plist: Unexpected character"
    with pytest.raises(StartError, match=reason):
        timer(kind, tmp_path).install()
    assert not user.exists()
    assert calls(tmp_path / "bin") == []


@pytest.mark.parametrize(
    ("checker", "said"),
    [
        ("plutil", 'echo "$2: OK"'),
        ("plutil", "echo out of memory >&2; exit 1"),
        ("systemd-analyze", 'echo "Failed to initialize manager" >&2; exit 1'),
        ("systemd-analyze", 'echo "other.service:3: Unknown key" >&2'),
    ],
)
def test_a_checker_that_cannot_work_or_speaks_of_others_keeps_nothing_back(
    user: Path, tmp_path: Path, checker: str, said: str
) -> None:
    put_program(tmp_path / "bin" / checker, said)
    assert timer("launchd" if checker == "plutil" else "systemd", tmp_path).install()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_s_own_checker_finds_what_is_wrong(user: Path, tmp_path: Path) -> None:
    command = [str(tmp_path / "no-python"), "night"]
    with pytest.raises(StartError, match="no-python is not executable"):
        make_timer("systemd", Job(command, tmp_path, "night.log")).install()
    assert not user.exists()


@pytest.mark.parametrize("before", [None, "", OTHERS, OTHERS.removesuffix("\n")])
def test_the_line_for_cron_comes_and_goes_and_leaves_all_others_alone(
    user: Path, tmp_path: Path, before: str | None
) -> None:
    table, made = tmp_path / "bin" / "table", Crontab(job(tmp_path))
    if before is not None:
        table.write_bytes(before.encode())
    kept = (f"{before}\n" if before and not before.endswith("\n") else before or "").encode()
    assert made.standing() == (False, ["Not installed: there is no line of ours in your crontab"])
    assert "nothing to remove" in made.remove()[0]
    for told in ("Wrote a line into your crontab", "The line in your crontab is as it should be"):
        assert made.install()[0] == told
        assert table.read_bytes() == kept + f"{made.line}\n".encode()
        assert (tmp_path / "a home/data/logs").is_dir()
    assert made.standing() == (True, ["Installed: a line in your crontab"])
    other = Crontab(job(tmp_path, "--profile", "embedded"))
    other.install()
    assert table.read_bytes() == kept + f"{other.line}\n".encode()
    assert made.remove() == ["Removed the line from your crontab"]
    assert table.read_bytes() == kept
    assert "nothing to remove" in made.remove()[0]


def test_bytes_that_are_no_text_stay_in_the_crontab(user: Path, tmp_path: Path) -> None:
    table = tmp_path / "bin" / "table"
    table.write_bytes(b"# caf\xe9 \x0c\n")
    Crontab(job(tmp_path)).install()
    Crontab(job(tmp_path)).remove()
    assert table.read_bytes() == b"# caf\xe9 \x0c\n"


def test_cron_and_the_shell_read_back_what_was_meant(tmp_path: Path) -> None:
    """As cron does: a % ends the command, unless a backslash that none escapes is before it."""
    line = Crontab(job(tmp_path)).line
    minute, hour, day, month, weekday, command = line.split(" ", 5)
    assert [minute, hour, day, month, weekday] == ["*/30", "*", "*", "*", "*"]
    assert command.endswith(MARK)
    read, escaped = "", False
    for sign in command:
        if escaped and sign == "%":
            read = read[:-1]
        assert escaped or sign != "%"
        escaped = sign == "\\" and not escaped
        read += sign
    (tmp_path / "a home/data/logs").mkdir(parents=True)
    shown = 'import os, sys; print(repr((sys.argv, os.getcwd(), os.environ["NIGHTSCHOOL_HOME"])))'
    (tmp_path / "show.py").write_text(shown)
    read = read.replace(f"{sys.executable} -m gateway.cli", f"{sys.executable} {tmp_path}/show.py", 1)
    subprocess.run(["/bin/sh", "-c", read], check=True)
    home = str(tmp_path / "a home")
    assert (tmp_path / "a home/data/logs/night.log").read_text() == (
        f"{([f'{tmp_path}/show.py', *COMMAND[3:]], home, home)!r}\n"
    )


def test_a_crontab_that_cannot_be_read_or_written_is_left_alone(user: Path, tmp_path: Path) -> None:
    table, made = tmp_path / "bin" / "table", Crontab(job(tmp_path))
    table.write_bytes(OTHERS.encode())
    put_program(tmp_path / "bin" / "crontab", f'[ "$1" = -l ] && cat {table} && exit 0; echo not allowed >&2; exit 1')
    with pytest.raises(StartError, match=r"was not changed \(not allowed\): put this line into it yourself: \*/30 "):
        made.install()
    put_program(tmp_path / "bin" / "crontab", "echo you are not allowed to use this program >&2; exit 1")
    with pytest.raises(
        StartError, match=r"cannot be read \(you are not allowed.*put this line into it yourself: \*/30 "
    ):
        made.install()
    with pytest.raises(StartError, match="cannot be read"):
        made.remove()
    assert made.standing() == (False, ["your crontab cannot be read (you are not allowed to use this program)"])
    assert table.read_bytes() == OTHERS.encode()
    with pytest.raises(StartError, match="line break"):
        Crontab(job(tmp_path / "a\nb")).install()


def test_which_it_is_depends_on_the_machine(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "not-booted"
    assert kind_here("Darwin", nowhere) == "launchd"
    assert kind_here("Linux", tmp_path) == "systemd"
    assert kind_here("Linux", nowhere) == kind_here("FreeBSD", nowhere) == "cron"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartError, match="neither launchd nor systemd nor cron"):
        kind_here("Linux", tmp_path)
