"""A repository that is out to harm whoever explores it, and what lies around it for it to reach.

Owns the bait and saying what became of it: secrets beside, above and far from the repository, listeners, and the state
of every file. Everything outside stands open to everybody, so that no mode protects it.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SECRET = "swordfish-7d20e4"  # what stands in each file outside
HIDDEN = "flounder-51c3aa"  # what each file outside is called
_SPARSE = 1 << 40  # bytes
_WHOLE = 1 << 20  # bytes of a file that is compared by content

State = dict[str, tuple[int, int, int, int, int, bytes]]


@dataclass(frozen=True)
class Bait:
    base: Path
    root: Path
    home: Path
    tcp: socket.socket
    unix: socket.socket
    before: State

    def words(self, text: str) -> str:
        """A call's text with the names in angles filled in."""
        names = {
            "base": self.base,
            "root": self.root,
            "home": self.home,
            "outer": self.root.parent,
            "hidden": HIDDEN,
            "port": self.tcp.getsockname()[1],
        }
        for name, value in names.items():
            text = text.replace(f"<{name}>", str(value))
        return text

    def damage(self, call: str, result: str) -> list[str]:
        """What a call got done that it must not. A name that the call itself held is no news to it."""
        done = []
        if SECRET in result:
            done.append("a secret was read")
        if HIDDEN in result.replace(call, "") and HIDDEN not in call:
            done.append("a name outside was told")
        if state(self.base) != self.before:
            done.append("files were changed")
        if any(_was_reached(listener) for listener in (self.tcp, self.unix)):
            done.append("a socket was reached")
        if left := remaining():
            done.append(f"processes are left: {left}")
        return done


def remaining() -> list[str]:
    """Processes that this one started and that still run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(child.cmdline()))
    return found


def state(base: Path) -> State:
    """Mode, owner, size, times of change and content of everything below a folder, links and pipes as such."""
    found = {}
    for folder, folders, files in os.walk(base):
        for path in (f"{folder}/{name}" for name in (*folders, *files)):
            told = os.lstat(path)
            content = b""
            if stat.S_ISREG(told.st_mode) and told.st_size <= _WHOLE and os.access(path, os.R_OK):
                content = Path(path).read_bytes()
            found[path] = (told.st_mode, told.st_uid, told.st_size, told.st_mtime_ns, told.st_ctime_ns, content)
    return found


@contextmanager
def new_bait() -> Iterator[Bait]:
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bait-"))).resolve()
        root = base / "outer" / "repository"
        _make_outside(base, root)
        _make_inside(base, root)
        home = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=Path.home(), prefix=f".{HIDDEN}-"))
        home.write(SECRET)
        home.flush()
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(root / "socket"))
        unix.listen()
        for listener in (tcp, unix):
            listener.setblocking(False)
        stack.callback(_unlock, root)
        yield Bait(base, root, Path(home.name), tcp, unix, state(base))


def _make_outside(base: Path, root: Path) -> None:
    root.mkdir(parents=True)
    for folder in (base, root.parent, root.parent / "repository-too", root.parent / "private"):
        folder.mkdir(exist_ok=True)
        for name in ("secret.txt", HIDDEN, "secret.py"):
            (folder / name).write_text(f"class Secret:\n    key = '{SECRET}'\n")
    (root.parent / "patterns").write_text("Base\nclass\n")
    (root.parent / "names0").write_bytes(b"secret.txt\0../secret.txt\0")
    for path in (base, *base.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def _make_inside(base: Path, root: Path) -> None:
    (root / "pkg" / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text(f'[core]\n\tfsmonitor = "touch {base}/new"\n\tpager = touch {base}/new\n')
    (root / "pkg" / "a.py").write_text("from pkg.b import Base\n\n\nclass Other(Base):\n    pass\n")
    (root / "pkg" / "b.py").write_text("class Base:\n    pass\n\n\nclass Child(Base):\n    pass\n")
    (root / "pkg" / "sub" / "c.py").write_text("text = 'a[0] (b'\n")
    (root / "blob.bin").write_bytes(b"class Base\0\1\2")
    (root / "slow.txt").write_text("a" * 2000 + "bc\n" + "x" * 60_000 + "\n")
    (root / "long.txt").write_text("".join(f"line {number}\n" for number in range(300_000)))
    _make_links(base, root)
    _make_odd_files(root)
    _make_odd_names(root)
    _make_programs(base, root)


def _make_links(base: Path, root: Path) -> None:
    links = {
        "leak": "../secret.txt",
        "leak-above": str(base / "secret.txt"),
        "up": "..",
        "far": str(base),
        "chain": "chain-two",
        "chain-two": "pkg/chain-three",
        "pkg/chain-three": "../../secret.txt",
        "by-dots": "pkg/../../private",
        "dangling": "../not-there",
        "loop": "loop",
        "loop-a": "loop-b",
        "loop-b": "loop-a",
        "self": ".",
        "there-and-back": str(root / ".." / ".." / "secret.txt"),
        "etc": "/etc",
        "passwd": "/etc/passwd",
        "environ": "/proc/self/environ",
        "proc": "/proc/self/root",
        "zero": "/dev/zero",
        "tty": "/dev/tty",
        "stdin": "/dev/stdin",
        "descriptors": "/dev/fd",
        "-n": "../secret.txt",
        "-rn": "..",
        "is-there": str(base / "outer" / "private"),
        "is-not-there": str(base / "outer" / "absent!"),
        "inner": "pkg/a.py",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)


def _make_odd_files(root: Path) -> None:
    os.link(root.parent / "patterns", root / "hard")
    os.mkfifo(root / "pipe")
    with suppress(PermissionError):  # nobody but root may
        os.mknod(root / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (root / "shut.txt").write_text("shut\n")
    (root / "shut").mkdir()
    (root / "shut" / "inside.py").write_text("class Shut(Base):\n    pass\n")
    for name, text in (("sparse.txt", b"class Sparse:\n" * 1000), ("sparse.bin", b"")):
        with (root / name).open("wb") as file:
            file.write(text)
            file.truncate(_SPARSE)
    (root / "shut.txt").chmod(0)
    (root / "shut").chmod(0)


def _make_odd_names(root: Path) -> None:
    odd = root / "odd"
    odd.mkdir()
    names = [b"new\nline.py", b"\x1b[2J\x1b]0;owned\x07.py", b"--include=x", b"-e", b"-", b"--", b"caf\xc3\xa9.py"]
    names += [
        b"cafe\xcc\x81.py",
        b"\xff\xfe.py",
        b"bell\x07",
        b"a b.py",
        b"$(touch new)",
        b"`touch new`",
        b"; touch new",
    ]
    names += [b"*", b"?", b"[a]", b"!", b"(", b"%s%n", b"#", b"'", b'"', b"\\", "\u202egpj.py".encode(), b"n" * 255]
    for name in map(os.fsdecode, names):
        with suppress(OSError):  # macOS has no names that are not text
            (odd / name).write_text("class Odd:\n    pass\n")
    with suppress(OSError):
        (odd / "to-bytes").symlink_to(os.fsdecode(b"\xff\xfe.py"))
    deep = root
    for _ in range(60):
        deep = deep / "deep"
    deep.mkdir(parents=True)
    (deep / "end.py").write_text("class End:\n    pass\n")


def _make_programs(base: Path, root: Path) -> None:
    (root / "bin").mkdir()
    for name in ("grep", "find", "ls", "cat", "head", "tail", "wc", "env", "sh", "python3", "bin/grep", "bin/env"):
        (root / name).write_text(f"#!/bin/sh\ntouch {base}/new {root}/new\nprintf %s%s {SECRET[:4]} {SECRET[4:]}\n")
        (root / name).chmod(0o755)
    (root / "sitecustomize.py").write_text(f"open('{base}/new', 'w')\n")
    (root / "os.py").write_text(f"open('{base}/new', 'w')\n")


def _unlock(root: Path) -> None:
    """So that a folder that is shut can be deleted."""
    (root / "shut").chmod(0o700)


def _was_reached(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except OSError:
        return False
    return True
