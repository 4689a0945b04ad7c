"""Opening what is inside a folder by way of folders alone: a link that was put there meanwhile is not followed.

Owns the way from a path that was checked to a descriptor, and what kinds of files are opened at all. Knows nothing of
what is done with them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from distill.errors import ToolError

HEAD = 8192  # bytes by which a file is taken for binary, as grep does
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW  # O_PATH: folders that cannot be listed
_LAST = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe without a writer is opened at once, and then refused


def open_inside(root: Path, target: Path) -> int:
    """A descriptor of the file or folder at a resolved path in `root`; the caller closes it. Raises OSError where a
    part of the path is a link by now, ToolError where it is neither file nor folder."""
    *folders, last = target.relative_to(root).parts or (".",)
    descriptor = os.open(root, _FOLDER)
    for name, how in [*((folder, _FOLDER) for folder in folders), (last, _LAST)]:
        outer = descriptor
        try:
            descriptor = os.open(name, how, dir_fd=outer)
        finally:
            os.close(outer)
    kind = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        os.close(descriptor)
        raise ToolError(f"{target.name} is neither a file nor a directory")
    return descriptor
