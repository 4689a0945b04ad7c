"""`nightschool service`: what is written for launchd and systemd, and how it comes and goes.

The service managers' places are taken by programs that keep a record of how they were called.
"""

from __future__ import annotations

import os
import platform
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.processes.service import service_unit
from gateway.processes.unit import Unit
from tests.gateway.processes.managing import calls, put_managers
from tests.gateway.running import nightschool

SYSTEMS = ["Darwin", "Linux"]
COMMAND = [sys.executable, "-m", "gateway.cli", "serve", "--config", '/a b/$HOME "100%" & <x>\\.toml', "--port", "9001"]
SETTINGS = '[student]\nurl = "http://127.0.0.1:9/v1"\n[teacher]\nurl = "http://127.0.0.1:9/v1"\napi_key_env = "TKEY"\n'


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of a user's own, with the managers on the PATH."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", str(put_managers(tmp_path / "bin")), prepend=os.pathsep)
    return tmp_path / "user"


def render(system: str, home: Path) -> str:
    (file,) = service_unit(system, COMMAND, home).files
    return file.content


def test_launchd_reads_what_was_meant() -> None:
    home = Path("/Users/me/a & b <c>")
    told = plistlib.loads(render("Darwin", home).encode())
    assert told["ProgramArguments"] == COMMAND
    assert told["EnvironmentVariables"] == {"NIGHTSCHOOL_HOME": str(home)}
    assert told["StandardOutPath"] == told["StandardErrorPath"] == str(home / "data/logs/service.log")
    assert (told["RunAtLoad"], told["KeepAlive"]) == (True, {"SuccessfulExit": False})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_every_line(tmp_path: Path) -> None:
    file = tmp_path / "nightschool.service"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    verify = ["systemd-analyze", "--user", "verify", str(file)]
    file.write_text(render("Linux", Path("/home/me/a $b %c")))
    done = subprocess.run(verify, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    file.write_text(file.read_text().replace("Restart=on-failure", "Restart=perhaps"))
    assert "perhaps" in subprocess.run(verify, env=environment, capture_output=True, text=True, check=False).stderr


def test_systemd_is_told_the_same_command() -> None:
    lines = dict(line.split("=", 1) for line in render("Linux", Path("/h/a %c")).splitlines() if "=" in line)
    assert lines["ExecStart"].endswith('"/a b/$$HOME \\"100%%\\" & <x>\\\\.toml" "--port" "9001"')
    assert lines["Environment"] == '"NIGHTSCHOOL_HOME=/h/a %%c"'
    assert lines["StandardError"] == "append:/h/a %%c/data/logs/service.log"
    assert lines["Restart"] == "on-failure"


def made(system: str, home: Path, *more: str) -> Unit:
    return service_unit(system, [*COMMAND, *more], home)


@pytest.mark.parametrize(
    ("system", "path", "started", "stopped"),
    [
        (
            "Darwin",
            "Library/LaunchAgents/local.nightschool.gateway.plist",
            ["launchctl bootout gui/UID/local.nightschool.gateway", "launchctl bootstrap gui/UID {path}"],
            ["launchctl bootout gui/UID/local.nightschool.gateway"],
        ),
        (
            "Linux",
            ".config/systemd/user/nightschool.service",
            [f"systemctl --user {verb}" for verb in ("daemon-reload", "enable {name}", "restart {name}")],
            ["systemctl --user disable --now {name}", "systemctl --user daemon-reload"],
        ),
    ],
)
def test_a_service_comes_and_goes_and_twice_is_as_once(
    user: Path, tmp_path: Path, system: str, path: str, started: list[str], stopped: list[str]
) -> None:
    unit, bin_folder = made(system, tmp_path / "home"), tmp_path / "bin"
    (file,) = unit.files
    names = {"path": str(user / path), "name": "nightschool.service"}
    assert file.path == user / path
    assert unit.standing() == (False, [f"Not installed: there is no {file.path}"])
    assert calls(bin_folder) == []
    for first_line in (f"Wrote {file.path}", f"{file.path} is as it should be"):
        assert unit.install()[0] == first_line
        assert calls(bin_folder) == [call.format(**names) for call in started]
        assert file.path.read_text() == file.content
        assert (tmp_path / "home/data/logs").is_dir()
    assert unit.standing()[0]
    calls(bin_folder)
    other = made(system, tmp_path / "home", "--profile", "embedded")
    assert other.install()[0] == f"Wrote {file.path}"
    assert file.path.read_text() == other.files[0].content
    calls(bin_folder)
    assert unit.remove() == [f"Removed {file.path}"]
    assert calls(bin_folder) == [call.format(**names) for call in stopped]
    assert not file.path.exists()
    assert "nothing to remove" in unit.remove()[0]
    assert calls(bin_folder) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_manager_that_refuses_or_is_missing_is_told_with_what_to_type(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    put_managers(tmp_path / "bin", code=1)
    unit = made(system, tmp_path / "home")
    (file,) = unit.files
    with pytest.raises(StartError, match=r"no bus.*type this yourself: (launchctl bootstrap|systemctl --user daemon)"):
        unit.install()
    assert file.written
    assert unit.standing() == (False, [f"Installed: {file.path}", "Not running (no bus)"])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartError, match=r"there is no (launchctl|systemctl)"):
        unit.install()
    told = unit.remove()
    assert told[0] == f"Removed {file.path}"
    assert "then type" in told[1]
    assert not file.path.exists()


def test_elsewhere_there_is_no_service(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="Windows"):
        service_unit("Windows", COMMAND, tmp_path)


@pytest.mark.skipif(platform.system() not in SYSTEMS, reason="needs launchd or systemd")
def test_the_commands_install_what_they_show(tmp_path: Path) -> None:
    (tmp_path / "nightschool.toml").write_text(SETTINGS)
    user = tmp_path / "user"
    bin_folder = put_managers(tmp_path / "bin")
    places = {"HOME": str(user), "XDG_CONFIG_HOME": str(user / "xdg"), "PATH": f"{bin_folder}:{os.environ['PATH']}"}

    def service(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return nightschool("service", *arguments, home=tmp_path, **{**places, **more})

    shown = service("show", "--port", "9001")
    assert shown.returncode == 0
    assert not user.exists()
    for part in (sys.executable, str(tmp_path / "nightschool.toml"), "9001", str(tmp_path)):
        assert part in shown.stdout
    assert service("status").returncode == 3
    installed = service("install", "--port", "9001")
    assert installed.returncode == 0, installed.stderr
    assert "TKEY" in installed.stdout
    files = [path for path in user.rglob("*") if path.is_file()]
    assert [file.read_text() for file in files] == [shown.stdout]
    if platform.system() == "Linux":
        assert files[0].is_relative_to(user / "xdg" / "systemd" / "user")
    assert (service("status").returncode, service("status").stdout.splitlines()[-1]) == (0, "Running")
    assert service("remove").returncode == 0
    assert not [path for path in user.rglob("*") if path.is_file()]
    assert service("remove").returncode == 0


def test_what_the_service_would_not_see_does_not_count(tmp_path: Path) -> None:
    done = nightschool("service", "show", home=tmp_path, NIGHTSCHOOL_PROFILE="embedded")
    assert done.returncode == 1
    assert "nightschool init" in done.stderr
    assert nightschool("service", "show", "--profile", "embedded", home=tmp_path).returncode == 0
