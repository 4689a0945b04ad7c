"""What the machine must be like before a night begins: on mains power, not hot, with room on its disks.

Owns how that is read on Linux and macOS. Each answer is yes, no, or that it is not known, in a sentence. Knows nothing
of what follows from it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from gateway.processes.calling import ask

_MARGIN = 10.0  # degrees below the point at which a machine is in danger
_EXTERNAL = ("Mains", "USB", "Wireless")
_SLOWED = re.compile(r"CPU_(?:Speed|Scheduler)_Limit\s*=\s*(\d+)")
_WARNED = re.compile(r"(?:thermal|performance) warning level\s*[=:]\s*(\d+)", re.IGNORECASE)
_DRAWING = re.compile(r"Now drawing from '([^']*)'")


class Answer(msgspec.Struct, frozen=True):
    """`fine` is None where it is not known."""

    fine: bool | None
    told: str


class Machine(msgspec.Struct, frozen=True):
    """Where it is read: `system` is "Darwin" or "Linux"; the folders are the kernel's."""

    system: str
    power: Path = Path("/sys/class/power_supply")
    thermal: Path = Path("/sys/class/thermal")


def mains(machine: Machine) -> Answer:
    """Whether the machine runs on mains power."""
    if machine.system == "Darwin":
        return _drawn(ask(("pmset", "-g", "batt")).out)
    return _supplied([_texts(folder) for folder in sorted(machine.power.glob("*"))])


def cool(machine: Machine) -> Answer:
    """Whether the machine is far from too hot."""
    if machine.system == "Darwin":
        return _unhindered(ask(("pmset", "-g", "therm")).out)
    return _far_from_danger(sorted(machine.thermal.glob("thermal_zone*")))


def roomy(folders: Sequence[Path], wanted: int) -> Answer:
    """Whether each folder's disk has so many bytes free."""
    try:
        free, folder = min((shutil.disk_usage(_existing(folder)).free, folder) for folder in folders)
    except OSError as error:
        return Answer(None, f"how much is free on the disk is not known: {error}")
    told = f"{free / 1e9:.1f} GB are free on the disk of {folder}"
    return Answer(True, told) if free >= wanted else Answer(False, f"{told}, and {wanted / 1e9:.1f} GB are wanted")


def _drawn(said: str) -> Answer:
    """What `pmset -g batt` means."""
    found = _DRAWING.search(said)
    if found is None:
        return Answer(None, "pmset does not say where the power comes from")
    return Answer(found[1] == "AC Power", f"the machine draws from '{found[1]}'")


def _supplied(supplies: Sequence[dict[str, str]]) -> Answer:
    """What the kernel's power supplies mean, each with its files. A battery of a mouse says nothing of the machine."""
    if any(one.get("type") in _EXTERNAL and one.get("online", "0") not in ("0", "") for one in supplies):
        return Answer(True, "the machine is on mains power")
    batteries = [one for one in supplies if one.get("type") == "Battery" and one.get("scope") != "Device"]
    states = {one.get("status", "") for one in batteries}
    if "Discharging" in states:
        return Answer(False, "the machine runs on its battery")
    if not batteries or states <= {"Charging", "Full", "Not charging"}:
        return Answer(True, "the machine has no battery" if not batteries else "the battery is not drawn from")
    return Answer(None, "the battery does not say whether it is drawn from")


def _unhindered(said: str) -> Answer:
    """What `pmset -g therm` means: how far the processor is slowed down, in percent, and levels of warning."""
    limits = [int(limit) for limit in _SLOWED.findall(said)]
    levels = [int(level) for level in _WARNED.findall(said)]
    if any(limit < 100 for limit in limits):
        return Answer(False, f"the machine is hot: its processor is held at {min(limits)} %")
    if any(levels):
        return Answer(False, f"the machine is hot: it warns at level {max(levels)}")
    if limits or levels or "No thermal warning level" in said:
        return Answer(True, "the machine is not hot")
    return Answer(None, "pmset does not say how hot the machine is")


def _far_from_danger(zones: Sequence[Path]) -> Answer:
    """What the kernel's thermal zones mean, by the points at which they are hot or critical."""
    known = [found for zone in zones for found in _heat(_texts(zone))]
    for name, heat, danger in known:
        if heat > danger - _MARGIN:
            return Answer(False, f"the machine is hot: {name} is at {heat:.0f} °C, in danger at {danger:.0f} °C")
    return Answer(True, "the machine is not hot") if known else Answer(None, "how hot the machine is, is not known")


def _heat(zone: dict[str, str]) -> Iterator[tuple[str, float, float]]:
    """A zone's name, its temperature, and the least at which it is in danger, where it makes sense."""
    points = [name.removesuffix("_type") for name, kind in zone.items() if kind in ("hot", "critical")]
    try:
        heat = int(zone["temp"]) / 1000
        dangers = [int(zone[f"{point}_temp"]) / 1000 for point in points if f"{point}_temp" in zone]
    except (KeyError, ValueError):
        return
    dangers = [danger for danger in dangers if danger > 0]
    if dangers and heat > 0:
        yield zone.get("type", "a sensor"), heat, min(dangers)


def _texts(folder: Path) -> dict[str, str]:
    """The small files of a folder of the kernel's, but for those that it does not let be read now."""
    found = {}
    for path in folder.glob("*"):
        try:
            if path.is_file():
                found[path.name] = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
    return found


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
