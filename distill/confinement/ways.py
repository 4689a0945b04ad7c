"""The systems' own ways to shut a line in: Linux by namespaces and a filter on system calls, macOS by its sandbox.

Owns which argument list runs a line on a folder. Runs nothing itself, and takes nobody's word that a way holds:
`distill.confinement.proof` tries.

Why these: both need nothing to be installed. On Linux bubblewrap makes the same namespaces, but leaves sockets that
know no namespaces, limits, and a root user's privileges to be dealt with around it; Landlock cannot hide the state of a
file, nor keep its mode from being changed, nor other processes from being seen.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from distill.confinement import inside
from distill.confinement.running import Bounds

_PLACE = "/snapshot"
_DEEPEST = 32  # folders
_LONGEST = 1000  # characters of a place
_TAKEN = frozenset({"", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "dev", "proc", "sys"})


class Way(Protocol):
    """`place` is where a folder, outside at `root`, stands for a line that believes it at `wanted`; `argv` runs the
    line there, in the folder `below`. Such a program ends with `inside.UNCONFINED` where it did not run the line."""

    @property
    def name(self) -> str: ...

    def place(self, root: Path, wanted: str) -> str: ...

    def argv(self, root: Path, place: str, below: str, line: str, bounds: Bounds) -> list[str]: ...


@dataclass(frozen=True)
class Namespaces:
    """Linux. `start` runs the script of `distill.confinement.inside`."""

    name: str = "namespaces"
    start: tuple[str, ...] = (sys.executable, "-I", "-S", "-B", inside.__file__)

    def place(self, root: Path, wanted: str) -> str:
        """Where the line believes it, unless that is a folder of the system's or no plain absolute path."""
        parts = wanted.split("/")
        plain = len(wanted) <= _LONGEST and 2 <= len(parts) <= _DEEPEST and wanted == str(PurePosixPath(wanted))
        usable = plain and not parts[0] and parts[1] not in _TAKEN and ".." not in parts and wanted.isprintable()
        return wanted if usable else _PLACE

    def argv(self, root: Path, place: str, below: str, line: str, bounds: Bounds) -> list[str]:
        told = (math.ceil(bounds.seconds) + 1, bounds.cpu_seconds, bounds.memory, bounds.processes)
        return [*self.start, str(root), place, below, line, ",".join(map(str, told))]


_PROGRAMS = ("/usr", "/bin", "/sbin", "/System", "/Library/Developer/CommandLineTools", "/opt/homebrew")
_SUBPATHS = " ".join(f'(subpath "{path}")' for path in _PROGRAMS)
# What it names last counts. Paths come in as parameters, so that none can add a rule.
PROFILE = "\n".join(
    [
        "(version 1)",
        "(deny default)",
        "(allow process-fork)",
        "(allow sysctl-read)",
        "(allow signal (target same-sandbox))",
        f"(allow process-exec {_SUBPATHS})",
        f"(allow file-read* {_SUBPATHS})",
        '(allow file-read* (literal "/") (literal "/dev/null") (subpath (param "SNAPSHOT")))',
        '(allow file-read-metadata (literal "/var") (literal "/private") (literal "/tmp") (literal "/etc"))',
        '(allow file-write-data (literal "/dev/null"))',
        "(deny network*)",
    ]
)
# The shell's words for the limits that macOS has; it has none on memory.
_LIMITED = """\
ulimit -c 0 && ulimit -f 0 && ulimit -n 256 && ulimit -t "$1" && cd "$2" || exit 125
exec env -i PATH=/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin HOME=/ LC_ALL=C TERM=dumb PAGER=cat GIT_PAGER=cat \
  GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_NO_LAZY_FETCH=1 \
  /bin/sh -c "$3"
"""


@dataclass(frozen=True)
class Seatbelt:
    """macOS. A line sees the folder where it is."""

    name: str = "sandbox-exec"
    program: str = "/usr/bin/sandbox-exec"

    def place(self, root: Path, wanted: str) -> str:
        return str(root)

    def argv(self, root: Path, place: str, below: str, line: str, bounds: Bounds) -> list[str]:
        profile = ["-D", f"SNAPSHOT={root}", "-p", PROFILE]
        shell = ["/bin/sh", "-c", _LIMITED, "sh", str(bounds.cpu_seconds), f"{place}/{below}", line]
        return [self.program, *profile, *shell]


def way_of(platform: str) -> Way | None:
    """The way of a system by Python's name for it, whether or not it works; None where there is none."""
    ways: dict[str, Way] = {"linux": Namespaces(), "darwin": Seatbelt()}
    return ways.get(platform)
