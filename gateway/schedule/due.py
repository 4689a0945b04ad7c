"""Whether a night is due now. Owns that decision; pure: all there is to know is an argument.

A night begins once in each window. One that missed a whole window, as the machine slept or was in use, is made up for
at once when it can be, with as much time as it would have had.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from gateway.schedule.conditions import Answer
from gateway.schedule.window import hours, local
from gateway.sections import NightSettings

_LEAST = 1800.0  # seconds that a night has to have


class Due(msgspec.Struct, frozen=True):
    """A night may begin, and take so many seconds."""

    seconds: float


class NotDue(msgspec.Struct, frozen=True):
    """None may, and why not."""

    reason: str


class Known(msgspec.Struct, frozen=True):
    """What there is to know. Moments are Unix seconds: `now`, when the last night began, to an end or not, when one
    last ended (None: there was none), and since when there is a schedule (None: not known). `idle` are seconds since a
    gateway's last request (None: not known), `new` the traces since the last night, as far as they were counted."""

    now: float
    zone: tzinfo
    last_begun: float | None
    last_ended: float | None
    since: float | None
    idle: float | None
    new: int
    conditions: Sequence[Answer] = ()


def due(settings: NightSettings, known: Known) -> Due | NotDue:
    """The decision. What is not known keeps no night from beginning."""
    found = _time(settings, known)
    if isinstance(found, NotDue):
        return found
    if known.new < settings.new:
        return NotDue(f"{known.new} traces are new since the last night, and night.new wants {settings.new}")
    if known.idle is not None and known.idle < settings.idle:
        return NotDue(
            f"the last request was {known.idle:.0f} s ago, and night.idle wants {settings.idle:.0f} s without one"
        )
    against = next((answer for answer in known.conditions if answer.fine is False), None)
    return NotDue(against.told) if against is not None else found


def _time(settings: NightSettings, known: Known) -> Due | NotDue:
    """What the clock says alone."""
    allowed, now, zone = hours(settings.at, settings.until), known.now, known.zone
    current = allowed.current(now, zone)
    if current is not None:
        if known.last_ended is not None and known.last_ended >= current.begins:
            return NotDue(f"the night of these hours ended at {local(known.last_ended, zone)}")
        left = current.ends - now
        if left < _LEAST:
            return NotDue(f"the hours for a night end in {left / 60:.0f} minutes, too few to begin one")
        return Due(left)
    missed = allowed.passed(now, zone)
    anchors = [moment for moment in (known.last_begun, known.last_ended, known.since) if moment is not None]
    if settings.catch_up and missed is not None and anchors and missed.begins >= max(anchors):
        return Due(missed.seconds)
    return NotDue(f"it is {local(now, zone)}, and nights begin from {settings.at} to {settings.until}")
