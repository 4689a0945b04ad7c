"""Formats are told from the files themselves, and folders are read without leaving them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import FormatError
from distill.formats.find import FORMATS, detect, read
from distill.formats.lines import BadLine
from distill.trace import Trace

FORMS = {
    "claude-code.jsonl": "claude-code",
    "rollout-codex.jsonl": "codex",
    "rollout-bare.jsonl": "codex",
    "opencode-export.json": "opencode",
    "aider.chat.history.md": "aider",
    "aider.llm.history": "aider-llm",
    "plan.jsonl": "plan",
    "tensorzero.jsonl": "tensorzero",
    "openpipe.jsonl": "openpipe",
    "litellm.jsonl": "litellm",
    "trl.jsonl": "trl",
    "openai.jsonl": "openai",
}


@pytest.mark.parametrize(("name", "form"), FORMS.items())
def test_each_sample_is_known_by_what_is_in_it(
    name: str, form: str, sample: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copy(sample(name), tmp_path / "file")
    assert detect(tmp_path / "file") == form


def test_there_is_a_sample_of_every_format_but_our_own() -> None:
    assert {*FORMS.values(), "traces"} == FORMATS.keys()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\n", b"[1, 2]\n", b'{"a": 1}\n', b"\xff\xfe", b"\x00" * 100])
def test_a_file_in_no_format_is_told_so(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FormatError, match="none of the formats that can be read: traces, claude-code, codex, opencode"):
        detect(tmp_path / "file")


def test_what_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        detect(tmp_path / "gone")
    with pytest.raises(FormatError, match="cannot be read"):
        read(tmp_path / "gone", "codex")
    with pytest.raises(FormatError, match="no format 'cursor'; there are traces, claude-code"):
        read(tmp_path, "cursor")


def test_a_folder_is_read_whole_in_the_order_of_its_paths(tmp_path: Path, sample: Callable[[str], Path]) -> None:
    for day in ("02", "01"):
        (tmp_path / "2026/04" / day).mkdir(parents=True)
        shutil.copy(sample("rollout-codex.jsonl"), tmp_path / "2026/04" / day / "rollout-a.jsonl")
    (tmp_path / "history.jsonl").write_text('{"session_id": "x", "text": "no rollout"}\n')
    assert detect(tmp_path) == "codex"
    found = list(read(tmp_path, "codex"))
    assert len(found) == 10
    assert found[:5] == found[5:]  # the same sessions: importing twice changes nothing


def test_links_in_a_folder_are_listed_and_not_followed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, sample: Callable[[str], Path]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    shutil.copy(sample("claude-code.jsonl"), outside / "secret.jsonl")
    (tmp_path / "file.jsonl").symlink_to(outside / "secret.jsonl")
    (tmp_path / "folder").symlink_to(outside)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    found = list(read(tmp_path, "claude-code"))
    assert [one.reason for one in found if isinstance(one, BadLine)] == ["a link, which is not followed"] * len(found)
    assert sorted(Path(one.file).name for one in found if isinstance(one, BadLine)) == ["file.jsonl", "folder"]


def test_a_link_that_the_user_names_is_followed(tmp_path: Path, sample: Callable[[str], Path]) -> None:
    (tmp_path / "link.jsonl").symlink_to(sample("openai.jsonl"))
    assert all(isinstance(one, Trace) for one in read(tmp_path / "link.jsonl", detect(tmp_path / "link.jsonl")))


def test_a_link_that_took_a_files_place_is_not_opened(tmp_path: Path, sample: Callable[[str], Path]) -> None:
    """Even where it was no link yet when the folder was listed."""
    (tmp_path / "file.jsonl").symlink_to(sample("openai.jsonl"))
    (bad,) = FORMATS["openai"].read(tmp_path / "file.jsonl")
    assert isinstance(bad, BadLine)
    assert bad.reason.startswith("cannot be read")


@pytest.mark.timeout(10)
def test_a_pipe_in_a_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (bad,) = read(tmp_path, "openai")
    assert isinstance(bad, BadLine)
    assert "no plain file" in bad.reason


def test_a_name_that_is_no_text_can_still_be_told(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.jsonl")).write_text("{")
    except OSError:
        pytest.skip("this file system takes names that are text alone")
    (bad,) = read(tmp_path, "openai")
    assert isinstance(bad, BadLine)
    bad.file.encode()
