"""A way counts only where it was seen to hold: each that lets one harm through is found out."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from distill.confinement import Bounds, Namespaces, Seatbelt, confinement, proven
from distill.confinement.ways import PROFILE, way_of


@dataclass(frozen=True)
class Leaky:
    """Runs of a line no more than `chosen` leaves of it, and that free."""

    chosen: Callable[[list[str]], list[str]]
    name: str = "leaky"

    def place(self, root: Path, wanted: str) -> str:
        return str(root)

    def argv(self, root: Path, place: str, below: str, line: str, bounds: Bounds) -> list[str]:
        reads, *others = line.split("; ")
        readable, secret, home = shlex.split(reads)[1:]
        tries = [f"cat {shlex.quote(path)}" for path in (readable, secret, home)]
        return ["/bin/sh", "-c", "; ".join(self.chosen([*tries, *others]))]


def test_what_only_reads_the_folder_is_proven() -> None:
    assert proven(Leaky(lambda tries: tries[:1]))


@pytest.mark.parametrize("harm", [1, 2, 3, 4, 5, 6])
def test_one_harm_that_gets_through_is_enough(harm: int) -> None:
    assert not proven(Leaky(lambda tries: [tries[0], tries[harm]]))


def test_a_way_that_does_nothing_holds_nothing() -> None:
    assert not proven(Leaky(lambda tries: ["true"]))
    assert not proven(Leaky(lambda tries: tries))
    assert not proven(Namespaces(start=("/nowhere/python",)))
    assert not proven(Seatbelt(program="/nowhere/sandbox-exec"))


def test_the_machine_has_a_way_or_says_that_it_has_none() -> None:
    way = confinement()
    assert way is confinement()
    assert way is None or (way == way_of(sys.platform) and proven(way))
    assert way_of("win32") is None
    assert isinstance(way_of("darwin"), Seatbelt)
    assert isinstance(way_of("linux"), Namespaces)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root has something to give up")
def test_root_of_a_container_that_may_not_mount_has_none() -> None:
    less = ("/usr/bin/setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all")
    assert not proven(Namespaces(start=(*less, *Namespaces().start)))


PLACES = [
    ("/home/user/shop", "/home/user/shop"),
    ("/srv/a b/c", "/srv/a b/c"),
    ("/tmp/x", "/tmp/x"),
    *((odd, "/snapshot") for odd in ("", "/", "shop", "./shop", "/a/../b", "/a//b", "/a/", "/..", "/a/./b", "C:/x")),
    *((taken, "/snapshot") for taken in ("/usr/src/app", "/etc/x", "/dev", "/proc/1/root", "/lib64/x", "/bin")),
    *((odd, "/snapshot") for odd in ("/a\nb", "/a\0b", "/" + "a" * 2000, "/a" * 50, "/\ud800")),
]


@pytest.mark.parametrize(("wanted", "place"), PLACES)
def test_where_a_line_finds_the_folder(wanted: str, place: str) -> None:
    assert Namespaces().place(Path("/x"), wanted) == place
    assert Seatbelt().place(Path("/x"), wanted) == "/x"


def test_the_profile_of_macos_allows_reading_and_nothing_else() -> None:
    rules = PROFILE.splitlines()
    assert rules[:2] == ["(version 1)", "(deny default)"]
    assert [rule for rule in rules if "write" in rule] == ['(allow file-write-data (literal "/dev/null"))']
    assert [rule for rule in rules if "network" in rule] == ["(deny network*)"]
    assert not [rule for rule in rules if "mach" in rule or '(subpath "/")' in rule or "/Users" in rule]
    assert all(rule.count("(") == rule.count(")") and rule.startswith("(") for rule in rules)
    assert PROFILE.count("(param ") == PROFILE.count('(subpath (param "SNAPSHOT"))') == 1


def test_a_path_adds_no_rule_to_the_profile() -> None:
    root = Path('/x") (allow default) ("')
    argv = Seatbelt().argv(root, str(root), "src", "cat 'a b'", Bounds(cpu_seconds=3))
    assert argv[:5] == ["/usr/bin/sandbox-exec", "-D", f"SNAPSHOT={root}", "-p", PROFILE]
    assert argv[5:7] == ["/bin/sh", "-c"]
    assert argv[8:] == ["sh", "3", f"{root}/src", "cat 'a b'"]
