"""What the machine is like, read from files as the kernel has them and from what pmset prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.schedule.conditions import Machine, cool, mains, roomy
from tests.gateway.processes.managing import put_program

NOTHING_RECORDED = (
    "Note: No thermal warning level has been recorded\n"
    "Note: No performance warning level has been recorded\n"
    "Note: No CPU power status has been recorded\n"
)
INTEL = (
    "2026-12-01 08:11:02 +0100 CPU Power notify\n"
    "\tCPU_Scheduler_Limit \t= {}\n\tCPU_Available_CPUs \t= 8\n\tCPU_Speed_Limit \t= {}\n"
)
BATTERY = " -InternalBattery-0 (id=4522083)\t83%; {}; 4:12 remaining present: true\n"


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


def linux(folder: Path) -> Machine:
    return Machine("Linux", folder / "power", folder / "thermal")


AC = {"type": "Mains", "online": "1"}
PULLED = {"type": "Mains", "online": "0"}
USB = {"type": "USB", "online": "1"}
MOUSE = {"type": "Battery", "scope": "Device", "status": "Discharging"}


def battery(status: str) -> dict[str, str]:
    return {"type": "Battery", "status": status, "capacity": "80"}


@pytest.mark.parametrize(
    ("supplies", "fine"),
    [
        ([], True),
        ([MOUSE], True),
        ([AC, battery("Charging")], True),
        ([AC, battery("Discharging")], True),  # a weak charger
        ([PULLED, battery("Discharging")], False),
        ([PULLED, USB, battery("Charging")], True),
        ([battery("Full")], True),
        ([battery("Not charging"), battery("Discharging")], False),
        ([PULLED, battery("Unknown")], None),
        ([PULLED, {"type": "Battery"}], None),
    ],
)
def test_linux_tells_where_the_power_comes_from(
    tmp_path: Path, supplies: list[dict[str, str]], fine: bool | None
) -> None:
    for number, files in enumerate(supplies):
        put(tmp_path / "power" / f"S{number}", **files)
    found = mains(linux(tmp_path))
    assert found.fine is fine
    assert found.told


def zone(temp: str, **points: str) -> dict[str, str]:
    files = {"type": "x86_pkg_temp", "temp": temp}
    for number, (kind, at) in enumerate(points.items()):
        files |= {f"trip_point_{number}_type": kind, f"trip_point_{number}_temp": at}
    return files


@pytest.mark.parametrize(
    ("zones", "fine"),
    [
        ([], None),
        ([zone("54000", passive="60000", critical="100000")], True),
        ([zone("91000", critical="100000")], False),
        ([zone("90000", critical="100000")], True),
        ([zone("86000", critical="110000", hot="95000")], False),
        ([zone("54000", critical="100000"), zone("99000", critical="100000")], False),
        ([zone("54000", passive="50000")], None),
        ([zone("54000", critical="-274000")], None),
        ([zone("-5000", critical="0")], None),
        ([zone("no number", critical="100000")], None),
    ],
)
def test_linux_tells_how_far_it_is_from_danger(tmp_path: Path, zones: list[dict[str, str]], fine: bool | None) -> None:
    for number, files in enumerate(zones):
        put(tmp_path / "thermal" / f"thermal_zone{number}", **files)
    put(tmp_path / "thermal" / "cooling_device0", type="Processor")
    found = cool(linux(tmp_path))
    assert found.fine is fine
    assert fine is not False or "x86_pkg_temp" in found.told


def put_pmset(folder: Path, monkeypatch: pytest.MonkeyPatch, about: str, said: str) -> None:
    """A pmset that says this when it is asked about that."""
    (folder / "said").write_text(said)
    put_program(folder / "pmset", f'[ "$*" = "-g {about}" ] && cat {folder}/said')
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("said", "fine"),
    [
        ("Now drawing from 'AC Power'\n" + BATTERY.format("charging"), True),
        ("Now drawing from 'AC Power'\n", True),
        ("Now drawing from 'Battery Power'\n" + BATTERY.format("discharging"), False),
        ("Now drawing from 'UPS Power'\n", False),
        ("", None),
    ],
)
def test_macos_tells_where_the_power_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, fine: bool | None
) -> None:
    put_pmset(tmp_path, monkeypatch, "batt", said)
    assert mains(Machine("Darwin")).fine is fine


@pytest.mark.parametrize(
    ("said", "fine"),
    [
        (NOTHING_RECORDED, True),
        (INTEL.format(100, 100), True),
        (NOTHING_RECORDED + INTEL.format(100, 62), False),
        (INTEL.format(80, 100), False),
        ("Thermal Warning Level = 1\nNote: No performance warning level has been recorded\n", False),
        ("Thermal Warning Level = 0\n", True),
        ("", None),
    ],
)
def test_macos_tells_whether_it_is_hot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, fine: bool | None
) -> None:
    put_pmset(tmp_path, monkeypatch, "therm", said)
    assert cool(Machine("Darwin")).fine is fine


def test_a_disk_has_room_or_not(tmp_path: Path) -> None:
    there, not_yet = tmp_path / "data", tmp_path / "home" / "models"
    there.mkdir()
    assert roomy((there, not_yet), 0).fine is True
    found = roomy((there, not_yet), 10**18)
    assert found.fine is False
    assert found.told.endswith("and 1000000000.0 GB are wanted")


def test_without_pmset_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert (mains(Machine("Darwin")).fine, cool(Machine("Darwin")).fine) == (None, None)
