"""Dataset: examples plus a manifest, in a folder named by what it holds.

Owns the files; knows nothing of SQL or MLX.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from distill.errors import DatasetError
from router.chat import Message, Tool


class Example(msgspec.Struct, frozen=True):
    """One conversation to learn from: what every assistant message in it says is learnt."""

    conversation: str
    repository: str
    traces: list[str]
    messages: list[Message]
    tools: list[Tool]
    learnt: list[int] | None = None  # places of the messages to learn from; None: all that the assistant says


class Dataset(msgspec.Struct, frozen=True):
    """A dataset on disk. `digest` names its content."""

    folder: str
    digest: str
    train: int
    valid: int


def write_dataset(examples: Sequence[Example], dropped: Counter[str], home: Path, valid_share: float = 0.05) -> Dataset:
    """Write `home/<digest>/{train,valid}.jsonl` and manifest.json; the same examples give the same bytes.

    Conversations are divided by a hash of their name. Raises DatasetError when there is nothing to learn from.
    """
    unique = _without_duplicates(sorted(examples, key=lambda example: (example.conversation, _line(example))))
    held_out = [example for example in unique if _fraction(example.conversation) < valid_share]
    learnt = [example for example in unique if _fraction(example.conversation) >= valid_share]
    if not learnt:
        raise DatasetError(f"nothing to learn from: no trace passed the filters ({dict(dropped)})")
    files = {"train.jsonl": _lines(learnt), "valid.jsonl": _lines(held_out)}
    digest = hashlib.sha256(b"\0".join(files[name] for name in sorted(files))).hexdigest()[:16]
    manifest = {
        "digest": digest,
        "train": len(learnt),
        "valid": len(held_out),
        "repositories": dict(sorted(Counter(example.repository for example in unique).items())),
        "dropped": dict(sorted(dropped.items())),
        "duplicates": len(examples) - len(unique),
        "traces": sorted(trace for example in unique for trace in example.traces),
    }
    folder = home / digest
    if not (folder / "manifest.json").exists():
        files["manifest.json"] = json.dumps(manifest, indent=2).encode()
        _write_whole(folder, files)
    return Dataset(str(folder), digest, len(learnt), len(held_out))


def read_examples(path: Path) -> list[Example]:
    """The examples of a JSONL file. Raises DatasetError naming the first broken line."""
    decoder = msgspec.json.Decoder(Example)
    examples = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            examples.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error
    return examples


def _without_duplicates(examples: Iterable[Example]) -> list[Example]:
    """The first of those that say the same things."""
    seen: dict[bytes, Example] = {}
    for example in examples:
        said = msgspec.json.encode(
            [(m.role, m.content, [c.function for c in m.tool_calls or ()]) for m in example.messages]
        )
        seen.setdefault(hashlib.sha256(said).digest(), example)
    return list(seen.values())


def _lines(examples: Iterable[Example]) -> bytes:
    return b"".join(_line(example) for example in examples)


def _line(example: Example) -> bytes:
    return msgspec.json.encode(example) + b"\n"


def _fraction(name: str) -> float:
    """A number in [0, 1) that belongs to a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def _write_whole(folder: Path, files: dict[str, bytes]) -> None:
    """All files or none: a folder with its final name is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = Path(work, "dataset")
        made.mkdir()
        for name, content in files.items():
            (made / name).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
