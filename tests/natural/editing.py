"""Agent two: aider, a chat for each errand, in a git repository of its own.

Owns how aider is told what. Knows nothing of what is asked or who answers.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.clients.agent import AIDER, Place
from tests.gateway.running import Running
from tests.natural.errands import Errand

_OPTIONS = [*AIDER, "--map-tokens", "0", "--no-suggest-shell-commands", "--no-detect-urls", "--no-auto-commits"]
_PATIENCE = 600.0  # seconds for a chat


def edit(gateway: Running, wanted: Iterator[Errand], count: int, seconds: float, folder: Path) -> Counter[str]:
    """`count` chats, none begun after `seconds`; how many ended how: "edited", "answered", or by an error's name."""
    until = time.monotonic() + seconds
    ends: Counter[str] = Counter()
    for number, errand in enumerate(itertools.islice(wanted, count)):
        if time.monotonic() > until:
            break
        own = folder / str(number)
        own.mkdir(parents=True)
        ends[_chat(gateway, errand, own)] += 1
    return ends


def _chat(gateway: Running, errand: Errand, folder: Path) -> str:
    place = Place(folder, errand.files)
    mode = ["--chat-mode", "ask"] if errand.form == "ask" else ["--edit-format", errand.form]
    try:
        said = "".join(f"{words}\n" for words in errand.words)
        told = place.run(gateway, "nightschool", "aider", *_OPTIONS, *mode, errand.path, said=said, seconds=_PATIENCE)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        told = str(error)
        return type(error).__name__
    finally:
        (folder / "told.txt").write_text(told, encoding="utf-8")
    return "edited" if "Applied edit to" in told else "answered"
