"""What an engine may use: the settings of the generation side and their defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """`batch` requests are under way and `queue` wait, further ones are refused; `prefill_step` prompt tokens at most
    are computed in one step; `cache_bytes` of prefixes are kept; `memory_bytes` in all (None: what the machine allows);
    attention keeps `max_kv_size` tokens (None: all); a model idle for `idle_unload_seconds` leaves memory (0: never).
    On a CPU `threads` compute (0: one for each core), and if `speculate`, guessed tokens are checked along.
    """

    batch: int = 16
    queue: int = 64
    prefill_step: int = 256
    cache_bytes: int = 1 << 30
    memory_bytes: int | None = None
    max_kv_size: int | None = None
    idle_unload_seconds: float = 0.0
    threads: int = 0
    speculate: bool = True

    @property
    def cores(self) -> int:
        return self.threads or os.cpu_count() or 1
