"""An adapter out into another form, or in from one: checked against its base, and there only when it is whole.

Owns the order of things and the names of forms. Knows nothing of settings: folders are handed in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from distill.digest import combined_digest, file_digest
from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.adapters import fused, llama_cpp, peft
from distill.mlx.adapters.base import Base, base_of
from distill.mlx.lora import AdapterWeights
from distill.publishing import CARD
from distill.unfinished import unfinished

FORMS: dict[str, Callable[[AdapterWeights, Base, Path], None]] = {
    "peft": peft.write,
    "gguf": llama_cpp.write,
    "fused": fused.write,
}


def export(adapter: Path, base: Path, form: str, out: Path) -> Path:
    """Make the folder `out`, which must not be there yet, of an adapter's folder and its base's.

    Raises AdapterError when the adapter is damaged, does not fit, or cannot be said in that form; ModelError for a base
    that is no model.
    """
    if form not in FORMS:
        raise AdapterError(f"there is no form '{form[:40]}': {', '.join(FORMS)}")
    _check_free(out)
    weights, known = lora.read(adapter), base_of(base)
    _check(weights, known)
    with unfinished(out.parent) as work:
        made = work / out.name
        made.mkdir()
        try:
            FORMS[form](weights, known, made)
        except (OSError, RuntimeError, ValueError) as error:
            raise AdapterError(f"{out} cannot be written: {error}") from error
        made.rename(out)
    return out


def take(source: Path, base: Path, target: Path) -> Path:
    """Make the folder `target`, in mlx-lm's form, of an adapter that others made for that base.

    `source` is a folder of PEFT's or of mlx-lm's, or a GGUF file. Raises AdapterError when it is none of them, damaged,
    or made for another base; ModelError for a base that is no model.
    """
    _check_free(target)
    known = base_of(base)
    form, weights = _read(source, known)
    _check(weights, known)
    with unfinished(target.parent) as work:
        made = work / target.name
        made.mkdir()
        try:
            digest = lora.write(made, weights.tensors, weights.config)
            told = {"taken_from": form, "source": _name(source), "made_for": _made_for(form, source)}
            kind = lora.kind_of(weights.config)
            card = {"name": target.name, "base": base.name, "kind": kind, "digest": digest, **told}
            (made / CARD).write_text(json.dumps(card, indent=2))
        except (OSError, RuntimeError, ValueError) as error:
            raise AdapterError(f"{target} cannot be written: {error}") from error
        made.rename(target)
    return target


def _read(source: Path, base: Base) -> tuple[str, AdapterWeights]:
    if source.is_file():
        return "gguf", llama_cpp.read(source, base)
    if (source / lora.WEIGHTS).is_file():
        return "mlx-lm", lora.read(source)
    if not (source / peft.WEIGHTS).exists() and (source / llama_cpp.FILE).is_file():
        return "gguf", llama_cpp.read(source / llama_cpp.FILE, base)
    return "peft", peft.read(source, base)


def _made_for(form: str, source: Path) -> str:
    return peft.made_for(source) if form == "peft" else ""


def _name(source: Path) -> str:
    """What names the content of a source: a digest of the files that are read of it."""
    names = (lora.WEIGHTS, peft.WEIGHTS, lora.CONFIG, llama_cpp.FILE)
    files = [source] if source.is_file() else [source / name for name in names if (source / name).is_file()]
    return combined_digest(f"{file.name}={file_digest(file)}" for file in files)


def _check(weights: AdapterWeights, base: Base) -> None:
    lora.fit(base.skeleton, weights)
    lora.check_finite(weights.tensors)
    if not math.isfinite(scale := float(weights.config["lora_parameters"]["scale"])):
        raise AdapterError(f"the adapter's scale is {scale}")


def _check_free(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise AdapterError(f"{folder} is there already: remove it or choose another name")
