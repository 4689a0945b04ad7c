"""The ledger: what was written is there, whatever happened to its writer."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from distill.errors import DatasetError
from distill.school.ledger import NAME, Ledger, Settled, Taken
from router.chat import Message


def taken(question: str, sample: int = 0) -> Taken:
    said = [Message("user", "Where?\nThere\u2028"), Message("assistant", "Here.")]
    return Taken(question, sample, "c", "answered", "Here.", [], said, ["trace-1"], 0.5, 10, 3, 1.0)


def test_what_is_added_is_found_again(tmp_path: Path) -> None:
    lines = [taken("a"), taken("a", 1), Settled("a", 1, ""), taken("b")]
    with Ledger.opened(tmp_path) as ledger:
        for line in lines:
            ledger.add(line)
            assert (tmp_path / NAME).read_bytes().endswith(msgspec.json.encode(line) + b"\n")
    with Ledger.opened(tmp_path) as again:
        assert again.taken == {"a": {0: lines[0], 1: lines[1]}, "b": {0: lines[3]}}
        assert again.settled == {"a": lines[2]}
        assert (again.prompt_tokens, again.completion_tokens) == (30, 9)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_last_line_cut_at_any_byte_counts_for_nothing_and_is_written_over(tmp_path: Path) -> None:
    with Ledger.opened(tmp_path) as ledger:
        ledger.add(taken("a"))
        whole = (tmp_path / NAME).read_bytes()
        ledger.add(taken("b"))
    both = (tmp_path / NAME).read_bytes()
    for cut in range(len(whole), len(both)):
        (tmp_path / NAME).write_bytes(both[:cut])
        with Ledger.opened(tmp_path) as ledger:
            assert list(ledger.taken) == ["a"]
            ledger.add(taken("c"))
        with Ledger.opened(tmp_path) as ledger:
            assert list(ledger.taken) == ["a", "c"]


@pytest.mark.parametrize(
    "damage", [b"{}\n", b"nonsense\n", b"\xff\n", b'{"type":"\xff"}\n', b'{"type":"taken","question":1}\n']
)
def test_a_damaged_line_is_told_and_nothing_is_thrown_away(tmp_path: Path, damage: bytes) -> None:
    with Ledger.opened(tmp_path) as ledger:
        ledger.add(taken("a"))
    content = (tmp_path / NAME).read_bytes() + damage
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(DatasetError, match="line 2 is damaged"), Ledger.opened(tmp_path):
        pass
    assert (tmp_path / NAME).read_bytes() == content


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with Ledger.opened(tmp_path), pytest.raises(DatasetError, match="another run"), Ledger.opened(tmp_path):
        pass


def test_what_cannot_be_written_leaves_the_ledger_whole(tmp_path: Path) -> None:
    """A disk that is full for a moment: a line that was half written is no line in the middle later on."""
    import resource

    with Ledger.opened(tmp_path) as ledger:
        ledger.add(taken("a"))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (tmp_path / NAME).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                ledger.add(taken("b"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        ledger.add(taken("c"))
    with Ledger.opened(tmp_path) as ledger:
        assert list(ledger.taken) == ["a", "c"]
