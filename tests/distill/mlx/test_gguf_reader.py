"""Model files from anyone: what promises more than it holds is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.errors import ModelError
from distill.mlx.gguf import convert
from tests.distill.mlx.adapters.test_llama_cpp import promise


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF" + b"\xff" * 100,
        promise(0, 2**60),
        promise(8, 2**60),
        promise(8, 2**40) + b"\0" * 10_000,
        promise(9, 2**60),
        promise(9, 1) + b"\x09\0\0\0\1\0\0\0\0\0\0\0" * 5000,  # arrays in arrays in arrays
        promise(99, 1),
    ],
)
def test_a_file_that_promises_too_much_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match="cannot be read as a GGUF file"):
        convert(tmp_path / "a.gguf", tmp_path / "made", "{{ messages }}")
    assert list((tmp_path / "made").iterdir()) == []
