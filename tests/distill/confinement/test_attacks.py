"""Harm that a line would do, past whoever looks at lines: none gets through, and each that is tried free is seen."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

import pytest

from distill.confinement import Way, proven
from tests.distill.confinement.attacks import ATTACKS, Attack
from tests.distill.confinement.world import PLACE, TRIED, WAYS, World, new_world, shut_in, wait_for


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One for all lines: as long as none does harm, it stays as it is."""
    with new_world() as made:
        yield made


@pytest.mark.parametrize("who", WAYS)
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_no_line_does_harm(attack: Attack, who: str, world: World) -> None:
    way, unproven = WAYS[who], TRIED[who]
    if way is None:  # then nothing is run, as the filters' tests show
        assert unproven is None or not proven(unproven)
        return
    assert world.damage(shut_in(way, world, attack.line)) == []


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_line_that_only_reads_is_run_whole(way: Way | None, world: World) -> None:
    line = "cat a.txt; find . -name '*.sh' | wc -l; pwd; ls -d up/; echo $((1 + 1)) >&2; exit 3"
    expected = ["alpha", "beta", "gamma", "1", PLACE]
    if way is not None:
        printed = shut_in(way, world, line)
        assert printed is not None
        assert (printed.status, printed.output.splitlines()) == (3, expected)
        assert printed.complaint.splitlines() == ["ls: cannot access 'up/': No such file or directory", "2"]


@pytest.mark.skipif(sys.platform != "linux", reason="the lines are written for GNU's programs")
@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.free], ids=str)
def test_free_lines_do_harm_and_are_found_out(attack: Attack) -> None:
    """What the tests above look for is there to be found: with the same line, and no confinement."""
    with new_world() as world:
        printed = world.free(attack.line)
        assert shutil.which(attack.free) is None or wait_for(lambda: bool(world.damage(printed)))
