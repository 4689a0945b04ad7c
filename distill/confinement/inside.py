"""A program of its own, Linux only: shuts itself in with one folder, and then becomes `/bin/sh -c LINE`.

Owns the kernel's side of it: new namespaces for users, mounts, processes, network, IPC and host name; a root folder
made of nothing but the system's programs, the folder and /dev/null, all read-only; no privileges, and none to be had;
a filter on system calls for what namespaces leave open (sockets of kinds that know no namespaces, key rings, tracing,
new namespaces); limits on each process. Whoever is root becomes nobody. Process 1 inside is this program: whatever the
line left behind ends with it. Imports a little of the standard library only: it starts for every
line, and pathlib and signal alone would take a third of the time.

Arguments: the folder outside, its place inside, the folder below it to start in, the line, and the seconds of wall
time, seconds of CPU time, bytes of memory and number of processes, parted by commas. Ends like the line does, or with
125 and a sentence on the standard error where it could not shut itself in.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

UNCONFINED = 125  # the status where the line was not run
_NOBODY = 65534
_BASE = "/tmp"  # any folder that there is: the new root is mounted on it, in a namespace of our own
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_LIBRARIES = "/etc/ld.so.cache"
_NULL = "/dev/null"
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "PAGER": "cat",
    "MALLOC_ARENA_MAX": "2",  # a thread's arena takes 64 MB of the address space that is limited
    "GIT_PAGER": "cat",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": _NULL,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_CONFIG_COUNT": "1",  # nobody owns no repository, and git reads only its own
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}

# include/uapi/linux: sched.h, mount.h, prctl.h, seccomp.h, audit.h
_NEW_USER = 0x10000000
_NEW_REST = 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 4096, 16384, 1 << 18, 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8
_SET_DEATH_SIGNAL, _SET_FILTER, _DROP_BOUND, _NO_NEW_PRIVILEGES = 1, 22, 24, 38
_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25
_CAPABILITIES = 64
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NOT_PERMITTED, _NOT_IMPLEMENTED = 1, 38


class Kernel:
    """Numbers of one processor's system calls: what `denied` names, `clone`, `pivot_root` and its audit number."""

    def __init__(self, audit: int, pivot_root: int, clone: int, denied: dict[str, int]) -> None:
        self.audit = audit
        self.pivot_root = pivot_root
        self.clone = clone
        self.denied = denied


_NEW_EVERYWHERE = {"io_uring_setup": 425, "pidfd_getfd": 438, "open_tree": 428, "fsopen": 430}
KERNELS = {
    "x86_64": Kernel(
        *(0xC000003E, 155, 56),
        {
            **{"socket": 41, "socketpair": 53, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311},
            **{"unshare": 272, "setns": 308, "mount": 165, "open_by_handle_at": 304, "userfaultfd": 323},
            **{"keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298},
            **_NEW_EVERYWHERE,
        },
    ),
    "aarch64": Kernel(
        *(0xC00000B7, 41, 220),
        {
            **{"socket": 198, "socketpair": 199, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271},
            **{"unshare": 97, "setns": 268, "mount": 40, "open_by_handle_at": 265, "userfaultfd": 282},
            **{"keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241},
            **_NEW_EVERYWHERE,
        },
    ),
}
_CLONE3 = 435
_MOUNT_SETATTR = 442
_X32 = 0x40000000


def call_filter(kernel: Kernel) -> bytes:
    """The filter on system calls as the kernel's small machine reads it: eight bytes for each instruction."""
    load, equal, at_least, any_of, give = 0x20, 0x15, 0x35, 0x45, 0x06
    code = [(load, 0, 0, 4), (equal, 1, 0, kernel.audit), (give, 0, 0, _KILL), (load, 0, 0, 0)]
    code += [(at_least, 0, 1, _X32), (give, 0, 0, _KILL)]  # on x86 another table of numbers; nowhere in use else
    for number in sorted(kernel.denied.values()):
        code += [(equal, 0, 1, number), (give, 0, 0, _REFUSE | _NOT_PERMITTED)]
    # its flags cannot be looked at; where it is not there, `clone` is taken
    code += [(equal, 0, 1, _CLONE3), (give, 0, 0, _REFUSE | _NOT_IMPLEMENTED)]
    code += [(equal, 1, 0, kernel.clone), (give, 0, 0, _ALLOW), (load, 0, 0, 16)]
    code += [(any_of, 0, 1, _NEW_USER | _NEW_REST), (give, 0, 0, _REFUSE | _NOT_PERMITTED), (give, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


class _Libc:
    """The calls that Python has no words for. Each raises OSError."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long

    def unshare(self, flags: int) -> None:
        self._check(self._libc.unshare(flags), "unshare")

    def mount(self, source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
        encoded = (os.fsencode(source), os.fsencode(target), kind.encode() if kind else None)
        self._check(self._libc.mount(*encoded, ctypes.c_ulong(flags), data.encode()), f"mount {target}")

    def bind(self, source: str, target: str, attributes: int) -> None:
        """What is at `source` also at `target`, with all that is mounted below, with more taken away from it."""
        self.mount(source, target, None, _BIND | _RECURSIVE)
        self.restrict(target, attributes, _AT_RECURSIVE)

    def restrict(self, target: str, attributes: int, how: int = 0) -> None:
        told = ctypes.create_string_buffer(struct.pack("=QQQQ", attributes, 0, 0, 0), 32)
        number, at, flags = (ctypes.c_long(value) for value in (_MOUNT_SETATTR, _AT_FDCWD, how))
        done = self._libc.syscall(number, at, os.fsencode(target), flags, told, ctypes.c_size_t(32))
        self._check(done, f"mount_setattr {target}")

    def leave_old_root(self, kernel: Kernel) -> None:
        """The working directory becomes the root; the old one is gone from the namespace."""
        self._check(self._libc.syscall(ctypes.c_long(kernel.pivot_root), b".", b"."), "pivot_root")
        self._check(self._libc.umount2(b".", _DETACH), "umount2")
        os.chdir("/")

    def prctl(self, option: int, value: int, more: object = None) -> None:
        zero = ctypes.c_ulong(0)
        self._check(self._libc.prctl(option, ctypes.c_ulong(value), more or zero, zero, zero), f"prctl {option}")

    def drop_capabilities(self) -> None:
        header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)
        self._check(self._libc.capset(header, ctypes.create_string_buffer(24)), "capset")

    def alarm(self, seconds: int) -> None:
        """This process ends then."""
        self._libc.alarm(seconds)

    def heed_signals(self) -> None:
        """Those that Python ignores, and with it what it becomes."""
        for number in (_SIGPIPE, _SIGXFSZ):
            self._libc.signal(number, None)

    def bound(self) -> None:
        """No capability can be had again. Numbers that the kernel does not know are passed over."""
        for number in range(_CAPABILITIES):
            self._libc.prctl(_DROP_BOUND, *(ctypes.c_ulong(value) for value in (number, 0, 0, 0)))

    def filter_calls(self, program: bytes) -> None:
        code = ctypes.create_string_buffer(program, len(program))
        form = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
        self.prctl(_SET_FILTER, 2, ctypes.create_string_buffer(form, len(form)))

    def _check(self, done: int, what: str) -> None:
        if done != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")


def main(folder: str, place: str, below: str, line: str, bounds: str) -> int:
    """Runs the line as the docstring above says; the status to end with."""
    wall, cpu, memory, processes = (int(bound) for bound in bounds.split(","))
    kernel, libc = KERNELS[os.uname().machine], _Libc()
    user, group = os.geteuid(), os.getegid()
    libc.prctl(_SET_DEATH_SIGNAL, _SIGKILL)
    _write("/proc/self/oom_score_adj", "1000")  # where memory runs short, this is what goes
    libc.unshare(_NEW_REST | (_NEW_USER if user else 0))
    if user:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    first = os.fork()
    if first:
        libc.alarm(wall)  # should nobody else be left to end it
        return _status(os.waitpid(first, 0)[1])
    _make_root(libc, kernel, folder, place)
    _give_up(libc, user)
    # now, because a change of user takes it back
    libc.prctl(_SET_DEATH_SIGNAL, _SIGKILL)
    os.chdir(f"{place}/{below}")
    _limit(cpu, memory, processes)
    libc.filter_calls(call_filter(kernel))
    second = os.fork()
    if not second:
        os.setsid()
        libc.heed_signals()
        os.execve("/bin/sh", ["sh", "-c", line], _ENVIRONMENT)
    while True:  # orphans become children of process 1
        ended, status = os.wait()
        if ended == second:
            return _status(status)


def _make_root(libc: _Libc, kernel: Kernel, folder: str, place: str) -> None:
    """The new root, with the folder at its place."""
    libc.mount("none", "/", None, _RECURSIVE | _PRIVATE)
    shown = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    libc.mount("tmpfs", _BASE, "tmpfs", 0, "size=1m,mode=755")
    os.chdir(_BASE)
    for name in _SYSTEM:
        outside = f"/{name}"
        if os.path.islink(outside):
            os.symlink(os.readlink(outside), name)
        elif os.path.isdir(outside):
            os.mkdir(name)
            libc.bind(outside, name, _READ_ONLY | _NO_SETUID | _NO_DEVICES)
    for file, attributes in ((_NULL, _NO_PROGRAMS), (_LIBRARIES, _READ_ONLY | _NO_DEVICES | _NO_PROGRAMS)):
        if os.path.exists(file):
            os.makedirs(os.path.dirname(file[1:]), exist_ok=True)
            _write(file[1:], "")
            libc.bind(file, file[1:], attributes | _NO_SETUID)
    os.makedirs(place[1:])
    nothing_else = _READ_ONLY | _NO_SETUID | _NO_DEVICES | _NO_PROGRAMS
    libc.bind(f"/proc/self/fd/{shown}", place[1:], nothing_else)
    os.close(shown)
    libc.leave_old_root(kernel)
    libc.restrict("/", nothing_else)


def _give_up(libc: _Libc, user: int) -> None:
    libc.prctl(_NO_NEW_PRIVILEGES, 1)
    libc.bound()
    if not user:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    libc.drop_capabilities()


def _limit(cpu: int, memory: int, processes: int) -> None:
    kinds = {
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for kind, value in kinds.items():
        resource.setrlimit(kind, (value, value))


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        ended = main(*sys.argv[1:])
    except (OSError, KeyError, ValueError) as error:
        print(f"cannot shut itself in: {error}", file=sys.stderr)
        ended = UNCONFINED
    sys.stderr.flush()
    os._exit(ended)
