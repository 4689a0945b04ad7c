"""Doubting: traces that no night learns from until somebody trusts them.

Owns doubted.json, suspected.json and trusted.json in a night's folder. A night suspects what it had to learn anew when
the adapter became worse by it, which training may do by chance as well; what a second one suspects is doubted, and at
once what ruined the adapter or is unlike all before. Without it one bad day would be learnt again, and refused again,
every night. Knows nothing of how that is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from distill.atomic import write_atomically
from distill.errors import DistillError
from distill.naming import is_one

_DOUBTED, _SUSPECTED, _TRUSTED = "doubted.json", "suspected.json", "trusted.json"


class DoubtError(DistillError):
    """There is nothing that could be trusted, or it cannot be read."""


def doubt(nights: Path, night: str, traces: Iterable[str]) -> None:
    write_atomically(nights / night / _DOUBTED, msgspec.json.encode(sorted(traces)))


def suspect(nights: Path, night: str, traces: Iterable[str]) -> int:
    """What a night learnt to an adapter's harm; how many traces are doubted for that: those that another night
    suspected, too. Raises DoubtError."""
    mine = frozenset(traces) - trusted(nights)
    others = (path for path in nights.glob(f"*/{_SUSPECTED}") if path.parent.name != night)
    again = mine & {trace for path in others for trace in _read(path)}
    write_atomically(nights / night / _SUSPECTED, msgspec.json.encode(sorted(mine)))
    if again:
        doubt(nights, night, again)
    return len(again)


def doubted(nights: Path, but: str = "") -> frozenset[str]:
    """The ids of all traces that are doubted, by other nights than the one that is called `but`. Raises DoubtError:
    what cannot be read must not be learnt from."""
    return _all(nights, _DOUBTED, but)


def trusted(nights: Path) -> frozenset[str]:
    """The ids of all traces that were doubted and no longer are. Raises DoubtError."""
    return _all(nights, _TRUSTED)


def doubting(nights: Path) -> dict[str, int]:
    """How many traces each night doubts, the newest night first. Raises DoubtError."""
    return {path.parent.name: len(_read(path)) for path in sorted(nights.glob(f"*/{_DOUBTED}"), reverse=True)}


def trust(nights: Path, night: str) -> int:
    """Let nights learn from what this one doubts; how many traces that are. Raises DoubtError where it doubts none."""
    path = nights / night / _DOUBTED
    if not is_one(night) or not path.is_file():
        known = ", ".join(doubting(nights)) or "none does"
        raise DoubtError(f"no night that is called '{night}' doubts anything; those that do: {known}")
    found = _read(path)
    write_atomically(path.with_name(_TRUSTED), msgspec.json.encode(found))
    path.unlink()
    return len(found)


def _all(nights: Path, name: str, but: str = "") -> frozenset[str]:
    found = (path for path in nights.glob(f"*/{name}") if path.parent.name != but)
    return frozenset(trace for path in found for trace in _read(path))


def _read(path: Path) -> list[str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DoubtError(
            f"{path} cannot be read, so nobody knows what is doubted: {error}. Mend it, or delete it to "
            "trust what it named"
        ) from error
