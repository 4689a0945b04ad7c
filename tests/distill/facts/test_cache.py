"""Facts kept on disk: found again, read again where they changed or are damaged, and bounded."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import msgspec
import pytest

from distill.errors import RepositoryError
from distill.facts import (
    Cache,
    ClassFact,
    ConstantFact,
    Declaration,
    Facts,
    FileFact,
    FunctionFact,
    ImportFact,
    collect,
)
from distill.facts.cache import FORMAT, content_version

RECORDS = (Facts, FileFact, ClassFact, FunctionFact, ImportFact, ConstantFact, Declaration)
FIELDS = (1, "d6ea01066b89")  # FORMAT, and a digest of what it stands for


def repository(folder: Path) -> Path:
    root = folder / "repository"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "one.py").write_text("import os\nLIMIT = 3\n\n\nclass One(Base):\n    def run(self, at=1): ...\n")
    (root / "broken.py").write_text("def (:\n")
    (root / "data.bin").write_bytes(b"\0\1")
    return root


def same(one: Facts, other: Facts) -> bool:
    return msgspec.structs.replace(one, texts=dict(one.texts)) == msgspec.structs.replace(
        other, texts=dict(other.texts)
    )


def test_a_known_state_is_not_read_again(tmp_path: Path) -> None:
    root, cache = repository(tmp_path), Cache(tmp_path / "kept")
    first = cache.facts(root, "commit-1")
    assert same(first, collect(root))
    (root / "pkg" / "one.py").unlink()
    again = cache.facts(root, "commit-1")  # whoever names the version answers for it
    assert [fact.name for fact in again.classes] == ["One"]
    with pytest.raises(RepositoryError, match=r"one\.py is not as it was"):
        again.texts["pkg/one.py"]
    assert not cache.facts(root, "commit-2").classes


def test_facts_out_of_the_cache_are_the_same_and_read_their_texts_when_asked(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "pkg" / "two.js").write_text("class Two extends One {}\n")
    fresh = Cache(tmp_path / "kept").facts(root)
    kept = Cache(tmp_path / "kept").facts(root)
    assert same(fresh, kept)
    assert "data.bin" not in kept.texts
    assert len(kept.texts) == 3
    moved = root.rename(tmp_path / "elsewhere")
    assert Cache(tmp_path / "kept").facts(moved).repository == "elsewhere"


def test_without_a_version_the_content_tells(tmp_path: Path) -> None:
    root, cache = repository(tmp_path), Cache(tmp_path / "kept")
    before = content_version(root)
    assert cache.facts(root).functions[0].defaults == ("", "1")
    source = root / "pkg" / "one.py"
    at = source.stat()
    source.write_text(source.read_text().replace("at=1", "at=2"))
    os.utime(source, ns=(at.st_atime_ns, at.st_mtime_ns))  # neither size nor time tell
    assert cache.facts(root).functions[0].defaults == ("", "2")
    assert content_version(root) != before
    (root / "empty").mkdir()
    assert "empty" in cache.facts(root).folders


def test_a_damaged_file_is_read_again(tmp_path: Path) -> None:
    root, folder = repository(tmp_path), tmp_path / "kept"
    right = Cache(folder).facts(root, "v")
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    draw = random.Random(5)
    damaged = [b"", whole[:20], whole[:-1], whole + b"x", b"\0" * len(whole)]
    for _ in range(50):
        at = draw.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ (1 << draw.randrange(8))]) + whole[at + 1 :])
    other = msgspec.msgpack.encode({"files": 3})
    damaged.append(hashlib.sha256(other).digest() + other)
    for content in damaged:
        file.write_bytes(content)
        assert same(Cache(folder).facts(root, "v"), right)
        assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_no_facts(tmp_path: Path) -> None:
    root, blocked = repository(tmp_path), tmp_path / "file"
    blocked.write_text("")
    assert Cache(blocked / "kept").facts(root, "v").classes


def test_the_oldest_states_go_and_nothing_is_left_behind(tmp_path: Path) -> None:
    root, folder = repository(tmp_path), tmp_path / "kept"
    cache = Cache(folder, kept=3)
    for at in range(3):
        cache.facts(root, f"v{at}")
        for file in folder.iterdir():
            os.utime(file, (file.stat().st_atime - 100, file.stat().st_mtime - 100))
    oldest = min(folder.iterdir(), key=lambda file: file.stat().st_mtime)
    (folder / "unfinished").write_text("")
    os.utime(folder / "unfinished", (0, 0))
    cache.facts(root, "v0")  # used again: now the newest
    cache.facts(root, "v3")
    left = list(folder.iterdir())
    assert len(left) == 3
    assert oldest in left
    assert not [file for file in left if file.suffix != ".facts"]


def test_more_bytes_than_there_is_room_for_are_not_kept(tmp_path: Path) -> None:
    root, folder = repository(tmp_path), tmp_path / "data" / "facts"
    Cache.of_data(tmp_path / "data").facts(root, "v0")
    (first,) = folder.iterdir()
    os.utime(first, (0, 0))
    Cache(folder, room=first.stat().st_size * 3 // 2).facts(root, "v1")
    (left,) = folder.iterdir()
    assert left != first


def test_a_change_of_fields_is_a_change_of_the_format() -> None:
    fields = repr([(record.__name__, record.__annotations__) for record in RECORDS])
    assert (FORMAT, hashlib.sha256(fields.encode()).hexdigest()[:12]) == FIELDS
