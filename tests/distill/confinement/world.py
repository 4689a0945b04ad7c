"""Something to harm: a hostile repository as the snapshot, secrets, files, sockets and a process outside of it.

Everything stands open to everybody, so that what keeps a line from harm is the confinement and not the files' modes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from distill.confinement import Confined, Namespaces, Printed, Way, inside, proven
from distill.confinement.running import Bounds, run
from distill.confinement.ways import way_of

PLACE = "/home/somebody/project"
SECRET = "swordfish-4f1c9a"
LINGERING = f"86543.{os.getpid()}"  # seconds that a process sleeps which a line leaves behind
_USER = 12345
_HOSTILE = """\
[core]
\trepositoryformatversion = 0
\tfsmonitor = "touch {outside}/new; true"
\tpager = touch {outside}/new
\thooksPath = {root}/hooks
[diff]
\texternal = "touch {outside}/new; true"
[diff "evil"]
\ttextconv = "touch {outside}/new; cat"
[filter "evil"]
\tclean = "touch {outside}/new; cat"
\tsmudge = "touch {outside}/new; cat"
[include]
\tpath = {outside}/gitconfig
"""
_INCLUDED = '[alias]\n\tincluded = "!cat {outside}/secret"\n'


@dataclass(frozen=True)
class World:
    base: Path
    root: Path
    outside: Path
    home: Path
    victim: subprocess.Popen[bytes]
    tcp: socket.socket
    udp: socket.socket
    unix: tuple[socket.socket, ...]
    before: dict[str, tuple[int, int, int, bytes]]
    limits: str

    def line(self, form: str, root: str) -> str:
        """A line for whoever finds the snapshot at `root`."""
        names = {
            "outside": self.outside,
            "root": root,
            "home": self.home,
            "victim": self.victim.pid,
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "abstract": _abstract(self.base),
            "long": LINGERING,
        }
        for name, value in names.items():
            form = form.replace(f"<{name}>", str(value))
        return form

    def free(self, form: str) -> Printed | None:
        """The line without any confinement, by whoever runs the tests, with a secret in the environment."""
        line = f"cd {self.root} && {self.line(form, str(self.root))}"
        return run(["/usr/bin/env", f"HOME={self.outside}", f"TOKEN={SECRET}", "/bin/sh", "-c", line], Bounds())

    def damage(self, printed: Printed | None) -> list[str]:
        """What a line got done."""
        done = []
        if printed is not None and SECRET in printed.output + printed.complaint:
            done.append("a secret was read")
        if _files(self.base) != self.before:
            done.append("files were changed")
        if any(_was_reached(listener) for listener in (self.tcp, self.udp, *self.unix)):
            done.append("a socket was reached")
        if self.victim.poll() is not None or _limits_of(self.victim) != self.limits:
            done.append("a process was harmed")
        if lingering():
            done.append("a process was left behind")
        return done


def lingering() -> list[int]:
    """Processes that a line left behind, as far as they sleep for LINGERING seconds."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if (one.info["cmdline"] or [""])[-1] == LINGERING]


def wait_for(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it comes true in time: what was killed takes a moment to go."""
    until = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


@contextmanager
def new_world() -> Iterator[World]:
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", prefix="world-")))
        root, outside = base / "snapshot", base / "outside"
        _make_files(base, root, outside)
        home = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=Path.home(), prefix=".world-"))
        home.write(SECRET)
        home.flush()
        victim = subprocess.Popen(["/usr/bin/env", f"TOKEN={SECRET}", "/bin/sleep", "600"], start_new_session=True)
        stack.callback(_bury, victim)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        places = [str(root / "socket"), str(outside / "socket")]
        for listener, place in zip(unix, [*places, "\0" + _abstract(base)], strict=True):
            with suppress(OSError):  # macOS has no abstract ones
                listener.bind(place)
                listener.listen()
        for place in places:
            Path(place).chmod(0o777)
        for listener in (tcp, udp, *unix):
            listener.setblocking(False)
        opened = (victim, tcp, udp, (*unix,))
        yield World(base, root, outside, Path(home.name), *opened, _files(base), _limits_of(victim))
        for pid in lingering():
            os.kill(pid, signal.SIGKILL)


def _as_user() -> list[str]:
    return ["/usr/bin/setpriv", "--reuid", str(_USER), "--regid", str(_USER), "--clear-groups"]


def _script() -> Path:
    """A copy of the script where everybody may read it."""
    copy = Path(tempfile.gettempdir(), f"nightschool-tests-{os.getpid()}.py")
    copy.write_bytes(Path(inside.__file__).read_bytes())
    copy.chmod(0o644)
    atexit.register(copy.unlink, missing_ok=True)
    return copy


def tried() -> dict[str, Way | None]:
    """The machine's way as whoever runs the tests; and where that is root, as an ordinary user too."""
    found = {"caller": way_of(sys.platform)}
    python = Path("/usr/bin/python3")
    if sys.platform == "linux" and os.geteuid() == 0 and python.exists() and shutil.which("setpriv"):
        found["user"] = Namespaces(start=(*_as_user(), str(python), "-I", "-S", "-B", str(_script())))
    return found


TRIED = tried()
WAYS = {name: way if way is not None and proven(way) else None for name, way in TRIED.items()}


def shut_in(way: Way, world: World, form: str, bounds: Bounds | None = None) -> Printed | None:
    """The line in the confinement; nothing has looked at what it says."""
    confined = Confined(way, bounds or Bounds(seconds=10.0))
    return confined.printed(world.root, PLACE, ".", world.line(form, confined.place(world.root, PLACE)))


def _make_files(base: Path, root: Path, outside: Path) -> None:
    (root / "hooks").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text(SECRET + "\n")
    (outside / "kept").write_text("kept\n")
    (outside / "gitconfig").write_text(_INCLUDED.format(outside=outside))
    (root / "a.txt").write_text("alpha\nbeta\n")
    (root / ".gitattributes").write_text("*.txt diff=evil filter=evil\n")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "up").symlink_to("../outside")
    for script in (root / "evil.sh", root / "hooks" / "post-index-change"):
        script.write_text(f"#!/bin/sh\ntouch {outside}/new\n")
    shutil.copy("/bin/sh", root / "setuid")
    quiet = {"cwd": root, "check": True, "capture_output": True, "env": {"HOME": str(base), "PATH": os.defpath}}
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "a.txt"], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], **quiet)  # type: ignore[call-overload]
    (root / "a.txt").write_text("alpha\nbeta\ngamma\n")
    (root / ".git" / "config").write_text(_HOSTILE.format(outside=outside, root=root))
    for path in (base, *base.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777)
    (root / "setuid").chmod(0o4777)


def _files(base: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every file's mode, owner, time and content; what only git's index remembers of times is left out."""
    found = {}
    for path in sorted(base.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        time = state.st_mtime_ns if path.is_file() else 0
        found[str(path)] = (state.st_mode, state.st_uid, time, content)
    return found


def _was_reached(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
    except OSError:
        return False
    return True


def _limits_of(process: subprocess.Popen[bytes]) -> str:
    told = Path(f"/proc/{process.pid}/limits")
    return told.read_text() if told.exists() else ""


def _bury(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _abstract(base: Path) -> str:
    return f"{base.name}-abstract"
