"""A crontab in a file."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.processes.managing import put_program


def put_crontab(folder: Path) -> None:
    """A crontab that is the file `table`, or none where there is no file."""
    listing = f"if [ -e {folder}/table ]; then cat {folder}/table; else echo no crontab for me >&2; exit 1; fi"
    put_program(folder / "crontab", f'case "$*" in -l) {listing};; -) cat > {folder}/table;; *) exit 2;; esac')
