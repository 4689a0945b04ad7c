"""The model a process serves: its name, its renderer, its generation thread, and the adapters that are loaded.

Owns which names exist. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

import mlx.core as mx
import msgspec

from distill.mlx.load import LoadedModel, load
from distill.render import Renderer
from gateway.engine.adapters import Adapter
from gateway.engine.errors import AdapterRefused, NoSuchAdapter
from gateway.engine.generator import Generator, Limits
from gateway.errors import UnknownModel


class SamplingDefaults(msgspec.Struct, frozen=True):
    """What holds when a request does not say; a model's generation_config.json may set its own."""

    temperature: float = 1.0
    top_p: float = 1.0


class ServedModel:
    """One base and its adapters. Every method belongs to one event loop."""

    def __init__(
        self, name: str, folder: Path, adapters_root: Path | None = None, limits: Limits | None = None
    ) -> None:
        self.name = name
        self.folder = folder
        self.renderer = Renderer(folder)
        self.defaults = _defaults(folder)
        self.generator = Generator(lambda: load(folder), self.renderer.eos_ids, limits)
        self.adapters: dict[str, Adapter] = {}
        self._adapters_root = adapters_root
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Load the model. Raises ModelError."""
        self.info: LoadedModel = await self.generator.open()

    async def close(self) -> None:
        await self.generator.close()

    def adapter(self, model: str) -> Adapter | None:
        """The adapter that a model name stands for; None for the base. Raises UnknownModel."""
        if model == self.name:
            return None
        if model not in self.adapters:
            raise UnknownModel(f"The model `{model}` does not exist.", param="model")
        return self.adapters[model]

    async def load_adapter(self, name: str, path: Path, *, replace: bool = False) -> Adapter:
        """Make an adapter addressable by `name`. Requests under way are not disturbed.

        Raises AdapterError when it is missing, damaged or for another base, AdapterRefused when the name is taken or
        the folder is not where adapters may come from.
        """
        async with self._changing:
            if name == self.name or (name in self.adapters and not replace):
                raise AdapterRefused(f"The name `{name}` is taken already.", param="lora_name")
            folder = self._allowed(path)
            adapter = await self.generator.load_adapter(name, folder)
            self.adapters[name] = adapter
            return adapter

    async def unload_adapter(self, name: str) -> None:
        """Forget a name. Requests that use the adapter already are finished with it. Raises NoSuchAdapter."""
        async with self._changing:
            if name not in self.adapters:
                raise NoSuchAdapter(f"The adapter `{name}` is not loaded.", param="lora_name")
            gone = self.adapters.pop(name)
            if all(other.digest != gone.digest for other in self.adapters.values()):
                await self.generator.forget(gone.digest)

    def memory(self) -> tuple[int, int]:
        """Bytes of memory in use by MLX now, and the most this process ever took."""
        unit = 1 if sys.platform == "darwin" else 1024
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return int(mx.get_active_memory()), max(int(mx.get_peak_memory()), resident)

    def _allowed(self, path: Path) -> Path:
        folder = path.resolve()
        if self._adapters_root is not None and not folder.is_relative_to(self._adapters_root.resolve()):
            raise AdapterRefused(f"Adapters are loaded from {self._adapters_root} only.", param="lora_path")
        return folder


def _defaults(folder: Path) -> SamplingDefaults:
    file = folder / "generation_config.json"
    if not file.exists():
        return SamplingDefaults()
    found = json.loads(file.read_text())
    if not found.get("do_sample", True):
        return SamplingDefaults(temperature=0.0)
    return SamplingDefaults(found.get("temperature") or 1.0, found.get("top_p") or 1.0)
