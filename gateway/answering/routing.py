"""What the router has learnt: gates, and a certificate for one adapter.

Owns models/router.json and models/gates/ (nobody else writes them) and whether what is there holds now. Knows nothing
of how gates are trained or certificates earned.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from distill.atomic import write_atomically
from gateway.errors import Conflict, StartError
from gateway.settings import Home
from router.certificate import RULE, Certificate, Missing
from router.chat import InvalidRequest
from router.groups import Group
from router.scorer import Gates, Learnt, Rule, Scorer

_log = structlog.get_logger("routing")


class Learning(msgspec.Struct, frozen=True):
    """What a night found out about an adapter ("" for the base): its gates, None for the rule; the certificate that it
    earned with them, None where it earned none; what is missing elsewhere; and why the one before was broken, if so."""

    adapter: str
    gates: Gates | None = None
    certificate: Certificate | None = None
    missing: Mapping[Group, Missing] = {}
    broken: str = ""


class Kept(msgspec.Struct, frozen=True):
    """As models/router.json holds it: gates by their name; `since` when; how often this adapter was tested; and why the
    certificate before was broken, if it was."""

    adapter: str
    gates: str
    certificate: Certificate | None
    missing: Mapping[Group, Missing]
    since: str
    times: int = 1
    broken: str = ""


class Routing:
    """The scorer at work, and the certificate of an adapter. Raises StartError for a file that is damaged."""

    def __init__(self, home: Home) -> None:
        self._file = home.models / "router.json"
        self._gates = home.models / "gates"
        self.kept: Kept | None = None
        self.scorer: Scorer = Rule()
        try:
            self.kept = msgspec.json.decode(self._file.read_bytes(), type=Kept)
            if self.kept.gates:
                self.scorer = Learnt(self.gates(self.kept.gates))
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise StartError(f"{self._file} is damaged ({error}): remove it, and no certificate holds") from error

    def gates(self, name: str) -> Gates:
        """Gates by their name. Raises FileNotFoundError, msgspec.MsgspecError or ValueError."""
        found = msgspec.json.decode((self._gates / f"{name}.json").read_bytes(), type=Gates)
        if found.name != name:
            raise ValueError(f"{name} is not what it was")
        return found

    def certificate(self, adapter: str, teacher: str) -> Certificate | None:
        """The certificate of an adapter beside these teachers; None: it has none, or not beside them."""
        if self.kept is None or self.kept.certificate is None or self.kept.adapter != adapter:
            return None
        return self.kept.certificate if self.kept.certificate.scope.teacher == teacher else None

    def take(self, learning: Learning) -> Kept:
        """Put what a night learnt to work. Raises InvalidRequest for what cannot be true, Conflict for a certificate
        that is not about the gates it comes with."""
        scorer: Scorer = Rule()
        if learning.gates is not None:
            try:
                scorer = Learnt(learning.gates)
            except ValueError as error:
                raise InvalidRequest(f"These are no gates: {error}.", "gates") from error
        if learning.certificate is not None:
            _check(learning.certificate, scorer.name)
        if learning.gates is not None:
            self._gates.mkdir(parents=True, exist_ok=True)
            write_atomically(self._gates / f"{scorer.name}.json", msgspec.json.encode(learning.gates))
        kept = Kept(
            learning.adapter,
            scorer.name if learning.gates is not None else "",
            learning.certificate,
            learning.missing,
            datetime.now(UTC).isoformat(timespec="seconds"),
            self.times(learning.adapter) + 1,
            learning.broken,
        )
        self._write(kept)
        self.scorer = scorer
        return kept

    def times(self, adapter: str) -> int:
        """How often an adapter was tested so far: each time spends of the confidence."""
        return self.kept.times if self.kept is not None and self.kept.adapter == adapter else 0

    def told(self, adapter: str) -> dict[str, Any]:
        """What status says where this adapter is live."""
        kept = self.kept
        if kept is None:
            return {"scorer": RULE, "certificate": None, "missing": {}, "times": 0, "broken": ""}
        found = kept.certificate
        certificate = None
        if found is not None:
            groups = {name: msgspec.to_builtins(tested) for name, tested in found.groups.items()}
            certificate = {"name": found.name, "adapter": kept.adapter, "groups": groups}
        return {
            "scorer": self.scorer.name,
            "certificate": certificate,
            "times": self.times(adapter),
            "broken": kept.broken,
            "missing": {
                name: {**msgspec.to_builtins(lacking), "more": lacking.more} for name, lacking in kept.missing.items()
            },
        }

    def _write(self, kept: Kept) -> None:
        write_atomically(self._file, msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
        self.kept = kept


def _check(certificate: Certificate, scorer: str) -> None:
    """Whether a certificate's numbers bear it out: who sends one may be wrong."""
    from router.certify import holds  # brings scipy, which no request needs

    if certificate.scope.scorer != scorer:
        raise Conflict(f"The certificate is about {certificate.scope.scorer}, not {scorer}.")
    for group, tested in certificate.groups.items():
        alpha = certificate.alpha.get(group, 0.0)
        if not holds(tested, alpha, certificate.delta):
            raise InvalidRequest(
                f"{tested.errors} errors of {tested.accepted} certify no share of {alpha:g}.", "certificate"
            )
