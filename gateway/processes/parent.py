"""Ending with one's parent: what a supervised process does when its gateway is gone. Owns nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

_POLL_SECONDS = 1.0
_LAST_SECONDS = 2.0  # for an orderly end, before the hard one


def follow(parent: int, leave: Callable[[], object]) -> None:
    """Call `leave` on a thread when the process `parent` is gone, and end this process hard soon after.

    Being handed to another parent tells of a death that nobody has waited for; a signal to it would still arrive.
    """
    born_by_it = os.getppid() == parent

    def watch() -> None:
        while _alive(parent) and (not born_by_it or os.getppid() == parent):
            time.sleep(_POLL_SECONDS)
        leave()
        time.sleep(_LAST_SECONDS)
        os._exit(1)  # not even a hanging event loop outlives the parent

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
