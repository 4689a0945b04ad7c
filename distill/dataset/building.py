"""Build: the way from examples to a dataset. Owns the order of the stages.

The examples are gone through twice. The first time a few hundred bytes are noted of each, from which everything is
decided; the second time those that were chosen are written. So memory grows with the number of examples and not with
their length, and what comes out depends on what the examples say, not on the order in which they came.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from distill.dataset import manifest
from distill.dataset.contamination import Guard, Passage
from distill.dataset.duplicates import exact_duplicates, near_duplicates
from distill.dataset.example import Dataset, Example, Source, line_of, short_digest
from distill.dataset.fates import FATE, Fates
from distill.dataset.ledger import Ledger
from distill.dataset.mixture import Mixture
from distill.dataset.parts import DIGITS, Part, put
from distill.dataset.shares import Room, balanced, limited, within
from distill.dataset.split import held_out
from distill.dataset.unfinished import BUILDING
from distill.errors import DatasetError, NothingKept


def _nothing() -> Iterable[Example]:
    return ()


@dataclass(frozen=True)
class Inputs:
    """What a dataset is made from. `replay` gives examples of earlier datasets; `passages` are those of examinations,
    and `reserved` the repositories that they are about. `filters` is the version of the filters that `examples` passed,
    and `dropped` what these dropped, by reason."""

    examples: Source
    replay: Source = _nothing
    passages: Sequence[Passage] = ()
    reserved: Set[str] = frozenset()
    filters: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)


def build(inputs: Inputs, home: Path, mixture: Mixture | None = None) -> Dataset:
    """Write `home/<digest>/{train,valid}.jsonl` and manifest.json. The same inputs give the same bytes in any order.

    Raises NothingKept when there is nothing to learn from, DatasetError when a source gives other examples the second
    time.
    """
    mixture = mixture or Mixture()
    guard = Guard(inputs.passages)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=BUILDING) as work:
        with Ledger(Path(work, "ledger"), mixture, guard, inputs.reserved) as ledger:
            for example, replayed in _all(inputs):
                ledger.add(example, replayed=replayed)
        records = ledger.records()
        fates, divided_by = _decide(records, mixture)
        reasons = fates.counts()
        if not np.any(fates.codes == FATE["train"]):
            raise NothingKept(f"nothing to learn from: no example was kept ({_told(inputs.dropped, reasons)})")
        made = Path(work, "dataset")
        made.mkdir(mode=0o700)  # as private as the store
        digest, counts, told = _write(made, inputs, records, fates)
        described = {
            "form": manifest.FORM,
            "digest": digest,
            **counts,
            "versions": manifest.versions(inputs.filters),
            "inputs": {**manifest.inputs_of(records), "examinations": guard.digest},
            "mixture": msgspec.to_builtins(mixture),
            "dropped": dict(sorted(inputs.dropped.items())),
            "left_out": reasons,
            "divided_by": divided_by,
            **told,
        }
        (made / "manifest.json").write_bytes(manifest.encoded(described))
        put(made, home / digest)
    return Dataset(str(home / digest), digest, counts["train"], counts["valid"])


def write_dataset(examples: Sequence[Example], dropped: Counter[str], home: Path, valid_share: float = 0.05) -> Dataset:
    """A dataset of examples that are in memory, none replayed and none compared with an examination; as `build`."""
    return build(Inputs(lambda: examples, dropped=dropped), home, Mixture(valid=valid_share))


def _all(inputs: Inputs) -> Iterator[tuple[Example, bool]]:
    """Every example, and whether it is replayed."""
    for source, replayed in ((inputs.examples, False), (inputs.replay, True)):
        for example in source():
            yield example, replayed


def _decide(records: np.ndarray, mixture: Mixture) -> tuple[Fates, str]:
    """What becomes of every example, and by what those held out were told apart."""
    fates = Fates(records["fate"])
    places = fates.open(np.lexsort((records["key"], records["replayed"])))  # of two that are alike, the new one stays
    places = fates.drop(places, exact_duplicates(records["said"][places]), "exact_duplicate")
    places = fates.drop(places, near_duplicates(records, places), "near_duplicate")
    again = records["replayed"][places]
    fresh, old = places[~again], places[again]
    held, divided_by = held_out(records, fresh, mixture.valid)
    valid, fresh = fresh[held], fresh[~held]
    old = fates.drop(old, _belongs(records, old, valid, divided_by), "held_out")
    room = Room(mixture.examples, mixture.total_bytes)
    valid = within(records, balanced(records, valid), room.part(mixture.valid), fates)
    fates.settle(valid, "valid")
    fates.settle(_taken(records, fresh, old, mixture, room, fates), "train")
    return fates, divided_by


def _belongs(records: np.ndarray, old: np.ndarray, valid: np.ndarray, divided_by: str) -> np.ndarray:
    """True for what was learnt before and is now held out."""
    found = np.isin(records["conversation"][old], records["conversation"][valid])
    if divided_by == "repository":
        repositories = records["repository"][old]
        found |= np.isin(repositories, records["repository"][valid]) & (repositories != 0)
    return found


def _taken(
    records: np.ndarray, fresh: np.ndarray, old: np.ndarray, mixture: Mixture, room: Room, fates: Fates
) -> np.ndarray:
    """What is learnt: as many new ones as there is room for beside those replayed, within everybody's share."""
    old = within(records, balanced(records, old), room.part(mixture.replay), fates)
    fresh = limited(records, balanced(records, fresh), mixture, fates)
    fresh = within(records, balanced(records, fresh), room.without(records["size"][old]), fates)
    return limited(records, np.concatenate([fresh, old]), mixture, fates)


def _write(made: Path, inputs: Inputs, records: np.ndarray, fates: Fates) -> tuple[str, dict[str, int], dict[str, Any]]:
    """The files of what was chosen. Returns the name of the dataset, how many lines each file has, and the tally."""
    tally = manifest.Tally()
    wanted = {FATE[name]: name for name in ("train", "valid")}
    codes, keys = fates.codes.tolist(), records["key"]
    with ExitStack() as stack:
        parts = {name: stack.enter_context(closing(Part(made / f"{name}.jsonl"))) for name in wanted.values()}
        place = -1
        for place, (example, _) in enumerate(_all(inputs)):
            if place < len(codes) and codes[place] in wanted:
                line = line_of(example)
                if (key := short_digest(line)) != int(keys[place]):
                    raise DatasetError("the examples changed while the dataset was built")
                parts[wanted[codes[place]]].add(key, line)
                tally.add(example)
        if place + 1 != len(codes):
            raise DatasetError("the examples changed while the dataset was built")
        digest = hashlib.sha256()
        parts["train"].finish(digest.update)
        digest.update(b"\0")
        parts["valid"].finish(digest.update)
    return digest.hexdigest()[:DIGITS], {name: len(part) for name, part in parts.items()}, tally.told()


def _told(dropped: Mapping[str, int], reasons: dict[str, dict[str, int]]) -> str:
    found = Counter(dropped)
    for counts in reasons.values():
        found.update(counts)
    return ", ".join(f"{reason} {count}" for reason, count in found.most_common()) or "there was none"
