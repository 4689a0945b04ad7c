"""Readers: what a tool's result says, as rows of values. Pure; they know nothing of templates or of repositories.

A template's steps name them by `read`.
"""

from __future__ import annotations

from distill.generate.readers import figures, heads, modules, results, sources
from distill.generate.readers.reader import Reader, Row

__all__ = ["READERS", "Reader", "Row"]

READERS: dict[str, Reader] = {
    reader.__name__: reader for module in (results, heads, modules, sources, figures) for reader in module.ALL
}
