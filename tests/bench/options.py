"""What a benchmark may be told: words of the form NAME=value, and paths of peers that may come from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATHS = {  # of peers; they may come from the environment
    "SMOLLM2_GGUF": "gguf",
    "LLAMA_SERVER": "llama_server",
    "NGINX": "nginx",
    "PORTKEY": "portkey",
    "LITELLM": "litellm",
}


class OptionError(ValueError):
    """A word on the command line that no benchmark understands."""


@dataclass(frozen=True)
class Options:
    """`tiny`: the smallest load that still goes through everything, for a look at the benchmark and not at a figure.

    `rounds` repeats what is compared (0: as each benchmark says), `seconds` is the soak's length, `calls` how many
    the grammar benchmark samples, `traces` how many the store is filled with, `examples` how many a dataset is
    chosen from, `threads` what the engine computes with (0: one for each core). `gguf` and `llama_server` are for
    llama.cpp. `adapter` is the folder of the one that the window benchmark examines. `nginx`, `portkey` and
    `litellm` are the gateways that ours is compared with: two programs, and the start-server.js of Portkey's
    package.
    """

    only: tuple[str, ...] = ()
    tiny: bool = False
    rounds: int = 0
    seconds: float = 600.0
    calls: int = 1000
    traces: int = 1_000_000
    threads: int = 0
    gguf: Path | None = None
    llama_server: Path | None = None
    examples: int = 100_000
    adapter: Path | None = None
    nginx: Path | None = None
    portkey: Path | None = None
    litellm: Path | None = None


def read(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Options:
    """Raises OptionError naming the word that is not understood. A value left empty counts as not given."""
    environment = os.environ if environment is None else environment
    found = {
        **{name: environment.get(name, "") for name in _PATHS},
        "ADAPTER": "",
        "ONLY": "",
        "SIZE": "full",
        "ROUNDS": "0",
        "SECONDS": "600",
        "CALLS": "1000",
        "TRACES": "1000000",
        "THREADS": "0",
        "EXAMPLES": "100000",
    }
    for word in words:
        name, mark, value = word.lstrip("-").partition("=")
        name = {"GGUF": "SMOLLM2_GGUF"}.get(name.upper(), name.upper())
        if not mark or name not in found:
            raise OptionError(f"{word!r} is not understood; there are {', '.join(f'{known}=' for known in found)}")
        found[name] = value or found[name]
    if found["SIZE"] not in ("full", "tiny"):
        raise OptionError("SIZE is full or tiny")
    try:
        return Options(
            only=tuple(name for name in found["ONLY"].split(",") if name),
            tiny=found["SIZE"] == "tiny",
            rounds=int(found["ROUNDS"]),
            seconds=float(found["SECONDS"]),
            calls=int(found["CALLS"]),
            traces=int(found["TRACES"]),
            threads=int(found["THREADS"]),
            examples=int(found["EXAMPLES"]),
            adapter=Path(found["ADAPTER"]) if found["ADAPTER"] else None,
            **{field: Path(found[name]) for name, field in _PATHS.items() if found[name]},
        )
    except ValueError as error:
        raise OptionError(f"not a number: {error}") from error
