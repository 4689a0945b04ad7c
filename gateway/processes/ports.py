"""Where a server of ours may listen: free ports, taken ports, sockets left behind. Owns the checks before a server
starts, since granian shares a port that is taken and unlinks a socket in use instead of failing."""

from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path

from gateway.errors import StartError


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int) -> None:
    """Raises StartError when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise StartError(f"port {port} on {host} {reason}: choose another with --port") from error


def check_socket(path: Path) -> None:
    """Remove a socket that a killed process left behind. Raises StartError when nothing can listen at `path`."""
    if not path.parent.is_dir():
        raise StartError(f"cannot listen on {path}: there is no folder {path.parent}")
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise StartError(f"cannot listen on {path}: it is a file of another kind; choose another --socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink()
        else:
            raise StartError(f"cannot listen on {path}: another process does; choose another --socket")
