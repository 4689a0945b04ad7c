"""Declarations read in a process of their own, so that a file that its parser runs away or crashes on costs that file.

Owns that process: it is started when first needed, and again after it died. Its bounds are `inside`'s.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from types import TracebackType

import msgspec

from distill.facts.frames import Request, read_frame, write_frame
from distill.facts.records import Declaration, Passed

_DEATHS = 20  # after which a folder's further files are passed over: each took seconds


class Apart:
    """To be used as a context, for the files of one folder."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._left = _DEATHS

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def read(self, path: str, language: str, content: bytes) -> list[Declaration] | Passed:
        """What `declarations` finds. Raises OSError where no process can be started."""
        if not self._left:
            return Passed.RUNAWAY
        request = msgspec.msgpack.encode(Request(path, language, content))
        process = self._process = self._process or _start()
        assert process.stdin is not None
        assert process.stdout is not None
        answer = None
        with suppress(BrokenPipeError):
            write_frame(process.stdin, request)
            answer = read_frame(process.stdout)
        if answer is None:
            self._left -= 1
            self._end()
            return Passed.RUNAWAY
        return msgspec.msgpack.decode(answer, type=list[Declaration] | Passed)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError):  # what it was not told goes with it
                process.communicate()


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "distill.facts.inside"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True)
