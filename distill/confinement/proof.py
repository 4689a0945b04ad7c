"""Proof that a way holds on this machine: a line tries to do harm, first free, where it must succeed, then shut in.

Owns the trial: a secret beside the folder and one in the home folder, files written inside and outside, a socket,
another process. A way that lets one through, or that cannot read the folder itself, counts as none; so does one of
which the trial cannot tell, because the harm cannot be done free either.
"""

from __future__ import annotations

import functools
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from distill.confinement.running import Bounds, run
from distill.confinement.ways import Way, way_of

_WAITING = 8  # connections


@functools.cache
def confinement() -> Way | None:
    """This machine's way to shut a line in, proven at first use; None where there is none."""
    way = way_of(sys.platform)
    return way if way is not None and proven(way) else None


def proven(way: Way) -> bool:
    """Whether a line that is shut in reads its folder and fails at everything else that it gets done free."""
    try:
        with _trial() as trial:
            free = trial.harm(str(trial.folder), lambda line: ["/bin/sh", "-c", line])
            place = way.place(trial.folder, str(trial.folder))
            shut_in = trial.harm(place, lambda line: way.argv(trial.folder, place, ".", line, _BOUNDS))
    except OSError:
        return False
    return free == _EVERYTHING and shut_in == {"read"}


_BOUNDS = Bounds(seconds=20.0)
_EVERYTHING = {"read", "secret", "home", "wrote inside", "wrote outside", "connected", "killed"}


@dataclass(frozen=True)
class _Trial:
    folder: Path
    outside: Path
    home: Path
    words: dict[str, str]
    listener: socket.socket

    def harm(self, place: str, argv: Callable[[str], list[str]]) -> set[str]:
        """What a line gets done that finds the folder at `place`. Raises OSError."""
        with subprocess.Popen(["/bin/sleep", str(_BOUNDS.seconds)], stdin=subprocess.DEVNULL) as other:
            try:
                printed = run(argv(self._line(place, other.pid)), _BOUNDS)
            finally:
                other.kill()
        found = {what for what, word in self.words.items() if printed is not None and word in printed.output}
        for what, folder in (("wrote inside", self.folder), ("wrote outside", self.outside)):
            if (folder / "written").exists():
                (folder / "written").unlink()
                found.add(what)
        ended = {"killed"} if other.returncode == -signal.SIGTERM else set()
        return found | ended | ({"connected"} if self._was_dialled() else set())

    def _line(self, place: str, process: int) -> str:
        inside, outside, home = (shlex.quote(str(path)) for path in (place, self.outside, self.home))
        tries = [
            f"cat {inside}/readable {outside}/secret {home}",
            f"echo x > {inside}/written",
            f"echo x > {outside}/written",
            f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{self.listener.getsockname()[1]}'",
            f"kill {process}",
        ]
        return "; ".join(tries)

    def _was_dialled(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@contextmanager
def _trial() -> Iterator[_Trial]:
    """Everything there is to harm; gone afterwards. Raises OSError."""
    words = {what: secrets.token_hex(16) for what in ("read", "secret", "home")}
    with ExitStack() as stack:
        outside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nightschool-"))).resolve()
        home = stack.enter_context(tempfile.NamedTemporaryFile(dir=_home(outside), prefix=".nightschool-"))
        home.write(words["home"].encode())
        home.flush()
        folder = outside / "folder"
        folder.mkdir()
        (folder / "readable").write_text(words["read"])
        (outside / "secret").write_text(words["secret"])
        for path in (outside, folder):  # anybody might, for all that their modes say
            path.chmod(0o777)
        for path in (outside / "secret", folder / "readable", Path(home.name)):
            path.chmod(0o644)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=_WAITING))
        listener.setblocking(False)
        yield _Trial(folder, outside, Path(home.name), words, listener)


def _home(otherwise: Path) -> Path:
    home = Path.home()
    return home if os.access(home, os.W_OK) else otherwise
