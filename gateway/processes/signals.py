"""Signals of the process: what ends it, and what has it read its settings again.

Owns the handlers. Knows nothing of what they set off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.errors import GatewayError

_STANDARD = (0, 1, 2)  # file descriptors


def on_signal(action: Callable[[], None]) -> None:
    """Run `action` on SIGTERM and SIGINT, in the running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, action)


def on_hang_up(reload: Callable[[], Coroutine[Any, Any, object]], leave: Callable[[], None]) -> None:
    """Run `reload` on SIGHUP; a GatewayError of it is its own business. Where the signal says that the terminal is
    gone from which the process was started, `leave` instead."""
    terminals = [descriptor for descriptor in _STANDARD if os.isatty(descriptor)]
    running: set[asyncio.Task[None]] = set()

    async def quietly() -> None:
        with contextlib.suppress(GatewayError):
            await reload()

    def act() -> None:
        if not all(os.isatty(descriptor) for descriptor in terminals):
            _silence(terminals)
            leave()
            return
        task = asyncio.create_task(quietly(), name="reload")
        running.add(task)
        task.add_done_callback(running.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)


def _silence(terminals: list[int]) -> None:
    """Let what is still written to a terminal that is gone go nowhere, instead of failing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in terminals:
        os.dup2(nowhere, descriptor)
