"""Memory leases: bytes lent to the night for a time. Owns the arithmetic; the supervisor acts on it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

import msgspec

from gateway.errors import NotFound
from router.chat import InvalidRequest


class Lease(msgspec.Struct, frozen=True):
    """`expires` is on the clock that Leases was given."""

    id: str
    bytes: int
    seconds: float
    expires: float


class Leases:
    """The leases that hold now. A holder that dies does not renew, and its lease ends by itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._leases: dict[str, Lease] = {}

    def promise(self, size: int, seconds: float) -> Lease:
        """Bytes that are nobody else's from now on, while models still make room. They are lent, and the seconds run,
        from the first `renew` on."""
        if size <= 0 or not 0 < seconds <= 3600:
            raise InvalidRequest("'bytes' must be above 0 and 'seconds' above 0 and at most 3600.")
        lease = Lease(secrets.token_hex(8), size, seconds, math.inf)
        self._leases[lease.id] = lease
        return lease

    def renew(self, lease_id: str) -> Lease:
        """Extend a lease by its own seconds from now. Raises NotFound for one that has ended."""
        self._forget_ended()
        if lease_id not in self._leases:
            raise NotFound(f"There is no lease {lease_id}; it may have ended.")
        lease = self._leases[lease_id]
        self._leases[lease_id] = msgspec.structs.replace(lease, expires=self._clock() + lease.seconds)
        return self._leases[lease_id]

    def end(self, lease_id: str) -> None:
        self._leases.pop(lease_id, None)

    def held(self) -> int:
        """Bytes lent or promised now."""
        self._forget_ended()
        return sum(lease.bytes for lease in self._leases.values())

    def lent(self) -> int:
        """Bytes lent now: models that make room for a promise may use them still."""
        self._forget_ended()
        return sum(lease.bytes for lease in self._leases.values() if lease.expires < math.inf)

    def _forget_ended(self) -> None:
        now = self._clock()
        self._leases = {key: lease for key, lease in self._leases.items() if lease.expires > now}
