"""What an import leaves out is counted, and no more of it remembered than is shown."""

from __future__ import annotations

from pathlib import Path

from gateway.transfers import take_in


async def test_a_file_of_nothing_but_bad_lines_is_not_held_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "openai.jsonl"
    file.write_bytes(b"x\n" * 50_000)
    done = await take_in(file, "openai", tmp_path, lambda _: None)
    assert (done.read, done.bad, [bad.line for bad in done.shown]) == (0, 50_000, list(range(1, 21)))
