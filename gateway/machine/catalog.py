"""The catalogue as typed entries, what lies on disk of it, and how much memory each of its models needs.

Owns that arithmetic. Knows nothing of machines, downloads or MLX.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway import settings
from gateway.errors import SettingsError

ROOM_TOKENS = 16_384  # of context that a model must have room for to be called fitting
OVERHEAD_BYTES = 1_000_000_000  # the process itself and its intermediate arrays


class Entry(msgspec.Struct, frozen=True):
    """One model. `gigabytes` are its weights on disk (10^9 bytes), `parameters` are in billions.

    `package` is a Python package that carries it, `repository` its place on the model hub; `revision` (a commit) and
    `files` (SHA-256 by file name) are what it is pinned to, if anything.
    """

    title: str
    licence: str
    gigabytes: float
    parameters: float
    context: int
    layers: int
    kv_heads: int
    head_dim: int
    repository: str = ""
    package: str = ""
    revision: str = ""
    files: dict[str, str] = {}

    def weight_bytes(self, *, float32: bool) -> int:
        """Weights in memory: as on disk, or dequantised to float32, which is what runs fast on a CPU."""
        return round(self.parameters * 4e9 if float32 else self.gigabytes * 1e9)

    def kv_bytes(self, tokens: int, *, float32: bool) -> int:
        """Keys and values of so many tokens: two arrays a layer of kv_heads x head_dim numbers a token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * tokens * (4 if float32 else 2)

    def needed_bytes(self, *, float32: bool) -> int:
        """Memory to serve it: weights, keys and values of ROOM_TOKENS (or of its context, if shorter), overhead."""
        tokens = min(ROOM_TOKENS, self.context)
        return self.weight_bytes(float32=float32) + self.kv_bytes(tokens, float32=float32) + OVERHEAD_BYTES


def entries() -> dict[str, Entry]:
    """The catalogue, by name. Raises SettingsError where it is damaged."""
    try:
        return msgspec.convert(settings.catalog(), dict[str, Entry])
    except msgspec.ValidationError as error:
        raise SettingsError(f"models/catalog.toml is damaged: {error}") from error


def folders_on_disk(models: Path) -> dict[str, int]:
    """The models in the models folder, of the catalogue or not, with the bytes that each takes."""
    if not models.is_dir():
        return {}
    found = [path for path in sorted(models.iterdir()) if not path.name.startswith(".")]
    return {path.name: folder_bytes(path) for path in found if (path / "config.json").is_file()}


def folder_bytes(folder: Path) -> int:
    """The bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
