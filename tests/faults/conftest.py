"""A stage for each module: what one spends of its teacher's retries is no other's business."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.table import Stage, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("home")) as stage:
        yield stage
