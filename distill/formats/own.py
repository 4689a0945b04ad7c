"""Our own format: one whole trace a line, as `write.traces` writes it.

Reads what any version wrote whose traces have the fields of this one. A trace keeps everything but its id, its client
and what it may be used for: what a student said is not made the teacher's by an import.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from distill.formats.conversation import quarantined
from distill.formats.lines import BadLine, guarded, records
from distill.trace import Trace

FORM = "traces"
_DECODER = msgspec.json.Decoder(Trace)
_PARENTS = 10_000  # how many traces back a trace's parent may be, to be found under its new id


def read(path: Path) -> Iterator[Trace | BadLine]:
    """The traces of a file; a parent that is not in it, or far before, is left out."""
    new_ids: dict[str, str] = {}
    for record in records(path, _DECODER):
        if isinstance(record, BadLine):
            yield record
        else:
            yield from guarded(path, record[0], _taken(record[1], new_ids))


def _taken(trace: Trace, new_ids: dict[str, str]) -> Iterator[Trace]:
    bare = msgspec.structs.replace(trace, id="", client="", teach=True, may_leave_machine=True, parent="")
    name = hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()
    taken = quarantined(msgspec.structs.replace(trace, parent=new_ids.get(trace.parent, "")), FORM, name)
    new_ids[trace.id] = taken.id
    if len(new_ids) > _PARENTS:
        del new_ids[next(iter(new_ids))]
    yield taken
