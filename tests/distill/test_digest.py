from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from distill.digest import combined_digest, file_digest


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"night" * 100_000)
    assert file_digest(tmp_path / "file") == hashlib.sha256(b"night" * 100_000).hexdigest()


# digests and file names never hold NUL, which ends each part
_PARTS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3), max_size=4)


@given(_PARTS, _PARTS)
def test_two_lists_never_share_a_digest(one: list[str], other: list[str]) -> None:
    assert (combined_digest(one) == combined_digest(other)) == (one == other)
