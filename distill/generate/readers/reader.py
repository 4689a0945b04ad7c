"""Reader: the kind of function that turns a result into rows of values; it may look at what is known before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Reader = Callable[[str, dict[str, Any]], list[Row]]
