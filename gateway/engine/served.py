"""The model a process serves: its name, its renderer, its generation thread, and the adapters that are loaded.

Owns which names exist. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from distill.mlx.load import ModelFacts, load, skeleton
from distill.redact.find import find
from distill.render import Renderer
from gateway.engine.errors import AdapterRefused, ContextExceeded, NoSuchAdapter
from gateway.engine.grammars.grammar import Grammars
from gateway.engine.inference import memory
from gateway.engine.inference.adapters import Adapter, Fitting
from gateway.engine.inference.generator import Generator
from gateway.engine.inference.limits import Limits
from gateway.engine.prefixes.shelf import Shelf
from gateway.engine.toolcalls.families import family_of
from gateway.errors import UnknownModel


class SamplingDefaults(msgspec.Struct, frozen=True):
    """What holds when a request does not say; a model's generation_config.json may set its own."""

    temperature: float = 1.0
    top_p: float = 1.0


class ServedModel:
    """One base and its adapters. Every method belongs to one event loop."""

    def __init__(
        self,
        name: str,
        folder: Path,
        adapters_root: Path | None = None,
        limits: Limits | None = None,
        shelf: tuple[Path, int] | None = None,
    ) -> None:
        """`adapters_root`: adapters come from below it only; `shelf`: a folder for prefixes and its bytes."""
        self.name = name
        self.folder = folder
        self.renderer = Renderer(folder)
        self.defaults = _defaults(folder)
        self.limits = limits or Limits()
        self.generator = Generator(
            lambda: load(folder),
            self.renderer.eos_ids,
            self.limits,
            _shelf_of(shelf, self.renderer) if shelf else None,
        )
        self.adapters: dict[str, Adapter] = {}
        self._adapters_root = adapters_root
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Load the model. Raises ModelError."""
        self.info: ModelFacts = await self.generator.open()
        self.grammars = self._grammars()
        self._fitting = Fitting(await asyncio.to_thread(skeleton, self.folder))

    async def close(self) -> None:
        await self.generator.close()

    @property
    def context(self) -> int:
        """Tokens, prompt and answer together, that a request may have: what the model allows and memory holds."""
        return min(self.info.context, self.generator.longest)

    def check_window(self, shared: int) -> None:
        """Whether a system prompt and tools of so many tokens leave room in the window. Raises ContextExceeded."""
        size = self.limits.max_kv_size
        if size is not None and shared > size // 2:
            raise ContextExceeded(
                f"The system prompt and the tools take {shared} tokens. This engine keeps {size} of context, and half "
                "of them must be left for the conversation: start it with a larger --max-kv-size.",
                param="messages",
            )

    def adapter(self, model: str) -> Adapter | None:
        """The adapter that a model name stands for; None for the base. Raises UnknownModel."""
        if model == self.name:
            return None
        if model not in self.adapters:
            raise UnknownModel(f"The model `{model}` does not exist.", param="model")
        return self.adapters[model]

    async def load_adapter(self, name: str, path: Path, *, replace: bool = False) -> Adapter:
        """Make an adapter addressable by `name`. Requests under way are not disturbed: they keep the adapter they
        began with, also when another takes its name.

        Raises AdapterError when it is missing, damaged or for another base, AdapterRefused when the name is taken or
        the folder is not where adapters may come from.
        """
        async with self._changing:
            if name == self.name or (name in self.adapters and not replace):
                raise AdapterRefused(f"The name `{name}` is taken already.", param="lora_name")
            adapter = await asyncio.to_thread(self._fitting.read, name, self._allowed(path))
            self.generator.admit(adapter)
            before = self.adapters.get(name)
            self.adapters[name] = adapter
            if before is not None:
                self.generator.dismiss(before)
            return adapter

    async def unload_adapter(self, name: str) -> None:
        """Forget a name. Requests that use the adapter already are finished with it. Raises NoSuchAdapter."""
        async with self._changing:
            if name not in self.adapters:
                raise NoSuchAdapter(f"The adapter `{name}` is not loaded.", param="lora_name")
            self.generator.dismiss(self.adapters.pop(name))

    def memory(self) -> tuple[int, int]:
        """Bytes of memory in use by MLX now, and the most this process ever took."""
        return memory.used(), memory.peak()

    def _grammars(self) -> Grammars:
        config, family = self.info.config, family_of(self.folder)
        width = config.get("vocab_size") or config.get("text_config", {})["vocab_size"]
        return Grammars(self.folder, self.renderer.eos_ids, int(width), family.calls, family.thoughts)

    def _allowed(self, path: Path) -> Path:
        try:
            folder = path.resolve()
        except ValueError as error:
            raise AdapterRefused(f"This names no folder: {error}.", param="lora_path") from error
        if self._adapters_root is not None and not folder.is_relative_to(self._adapters_root.resolve()):
            raise AdapterRefused(f"Adapters are loaded from {self._adapters_root} only.", param="lora_path")
        return folder


def _shelf_of(place: tuple[Path, int], renderer: Renderer) -> Callable[[ModelFacts], Shelf]:
    return lambda model: Shelf(*place, model.digest, lambda tokens: bool(find(renderer.decode(tokens))))


def _defaults(folder: Path) -> SamplingDefaults:
    file = folder / "generation_config.json"
    if not file.exists():
        return SamplingDefaults()
    found = json.loads(file.read_text())
    if not found.get("do_sample", True):
        return SamplingDefaults(temperature=0.0)
    return SamplingDefaults(found.get("temperature") or 1.0, found.get("top_p") or 1.0)
