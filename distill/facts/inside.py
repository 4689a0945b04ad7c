"""The process that reads declarations for `apart`: it answers requests, and dies of what takes too much.

Owns the bounds: a parser in C is not to be interrupted by anything else, and what it is given was written by strangers.
"""

from __future__ import annotations

import resource
import signal
import sys
from contextlib import suppress
from typing import IO

import msgspec

from distill.facts.declarations import read_declarations
from distill.facts.frames import Request, read_frame, write_frame

SECONDS = 3.0  # of CPU for a file; a valid one of a megabyte takes half a second
_MEMORY = 2 << 30  # bytes


def serve(given: IO[bytes], told: IO[bytes]) -> None:
    """Answer until nothing more is asked."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):  # not every platform can bound it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    while (frame := read_frame(given)) is not None:
        request = msgspec.msgpack.decode(frame, type=Request)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        found = read_declarations(request.path, request.language, request.content)
        signal.setitimer(signal.ITIMER_PROF, 0)
        write_frame(told, msgspec.msgpack.encode(found))


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
