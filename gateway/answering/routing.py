"""What the router has learnt of each adapter: gates, and a certificate.

Owns models/router.json and models/gates/ (nobody else writes them) and whether what is there holds now. Knows nothing
of how gates are trained or certificates earned.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from distill.atomic import write_atomically
from gateway.errors import Conflict, StartError
from gateway.settings import Home
from router.certificate import RULE, Certificate, Missing
from router.chat import InvalidRequest
from router.groups import Group
from router.scorer import Gates, Learnt, Rule, Scorer

_RULE = Rule()
_MOST = 50  # adapters of which something is kept: those that were tested last


class Learning(msgspec.Struct, frozen=True):
    """What a night found out about an adapter ("" for the base): its gates, None for the rule; the certificate that it
    earned with them, None where it has none; what is missing elsewhere; why the one before was broken, if so; how many
    labels were `tested`, 0 where no test was made; and from when on (Unix seconds) labels count."""

    adapter: str
    gates: Gates | None = None
    certificate: Certificate | None = None
    missing: Mapping[Group, Missing] = {}
    broken: str = ""
    tested: int = 0
    counts_from: float = 0.0


class Kept(msgspec.Struct, frozen=True):
    """What is kept of an adapter: its gates by their name, "" for the rule; `since` when; how often it was tested, the
    last time with so many `labels`; why the certificate before was broken, if it was; and from when on (Unix seconds)
    labels count."""

    gates: str
    certificate: Certificate | None
    missing: Mapping[Group, Missing]
    since: str
    times: int = 0
    broken: str = ""
    labels: int = 0
    counts_from: float = 0.0


class Routing:
    """Scorers and certificates by adapter, "" for the base. Raises StartError for a file that is damaged."""

    def __init__(self, home: Home) -> None:
        self._file = home.models / "router.json"
        self._gates = home.models / "gates"
        self._kept: dict[str, Kept] = {}
        self._scorers: dict[str, Scorer] = {}
        try:
            self._kept = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Kept])
            for adapter, kept in self._kept.items():
                self._scorers[adapter] = Learnt(self.gates(kept.gates)) if kept.gates else _RULE
        except FileNotFoundError as error:
            if error.filename != str(self._file):
                raise StartError(f"{error.filename} is gone: remove {self._file}, and no certificate holds") from error
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise StartError(f"{self._file} is damaged ({error}): remove it, and no certificate holds") from error

    def gates(self, name: str) -> Gates:
        """Gates by their name. Raises OSError, msgspec.MsgspecError or ValueError."""
        found = msgspec.json.decode((self._gates / f"{name}.json").read_bytes(), type=Gates)
        if found.name != name:
            raise ValueError(f"{name} is not what it was")
        return found

    def of(self, adapter: str) -> Kept | None:
        """What is known of an adapter."""
        return self._kept.get(adapter)

    def scorer(self, adapter: str) -> Scorer:
        return self._scorers.get(adapter, _RULE)

    def certificate(self, adapter: str, teacher: str) -> Certificate | None:
        """The certificate of an adapter beside these teachers; None: it has none, or not beside them."""
        kept = self._kept.get(adapter)
        found = kept.certificate if kept is not None else None
        return found if found is not None and found.scope.teacher == teacher else None

    def take(self, learning: Learning) -> None:
        """Put what a night learnt to work. Raises InvalidRequest for what cannot be true, Conflict for a certificate
        that is not about the gates it comes with."""
        scorer: Scorer = _RULE
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
        before = self._kept.get(learning.adapter)
        kept = Kept(
            scorer.name if learning.gates is not None else "",
            learning.certificate,
            learning.missing,
            datetime.now(UTC).isoformat(timespec="seconds"),
            (before.times if before is not None else 0) + (learning.tested > 0),
            learning.broken,
            learning.tested or (before.labels if before is not None else 0),
            learning.counts_from,
        )
        others = {name: one for name, one in self._kept.items() if name != learning.adapter}
        newest = dict([*others.items(), (learning.adapter, kept)][-_MOST:])
        write_atomically(self._file, msgspec.json.format(msgspec.json.encode(newest), indent=2) + b"\n")
        self._kept = newest
        self._scorers = {name: self._scorers[name] for name in newest if name != learning.adapter}
        self._scorers[learning.adapter] = scorer

    def told(self, adapter: str) -> dict[str, Any]:
        """What status says where this adapter is live."""
        kept = self._kept.get(adapter)
        if kept is None:
            return {"scorer": RULE, "certificate": None, "missing": {}, "times": 0, "broken": ""}
        found, certificate = kept.certificate, None
        if found is not None:
            groups = {name: msgspec.to_builtins(tested) for name, tested in found.groups.items()}
            certificate = {"name": found.name, "groups": groups}
        return {
            "scorer": self.scorer(adapter).name,
            "certificate": certificate,
            "times": kept.times,
            "broken": kept.broken,
            "missing": {
                name: {**msgspec.to_builtins(lacking), "more": lacking.more} for name, lacking in kept.missing.items()
            },
        }


def _check(certificate: Certificate, scorer: str) -> None:
    """Whether a certificate's numbers bear it out: who sends one may be wrong."""
    from router.certify import holds  # brings scipy, which no request needs

    if not (0 < certificate.delta < 1 and all(0 < alpha < 1 for alpha in certificate.alpha.values())):
        raise InvalidRequest("The shares 'alpha' and 'delta' lie between 0 and 1.", "certificate")
    if certificate.scope.scorer != scorer:
        raise Conflict(f"The certificate is about {certificate.scope.scorer}, not {scorer}.")
    for group, tested in certificate.groups.items():
        alpha = certificate.alpha.get(group, 0.0)
        if not holds(tested, alpha, certificate.delta):
            raise InvalidRequest(
                f"{tested.errors} errors of {tested.accepted} certify no share of {alpha:g}.", "certificate"
            )
