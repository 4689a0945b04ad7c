"""Keeping memory, in a process of its own: the setting is for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CODE = """
import ctypes, resource
from distill.mlx import allocator
{first}
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = 64 << 20
def use():
    block = libc.malloc(size); ctypes.memset(block, 1, size); libc.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    checkout = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _CODE.format(first=first)]
    return int(subprocess.run(command, capture_output=True, text=True, cwd=checkout, check=True, timeout=60).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_blocks_are_used_again_without_fresh_pages() -> None:
    assert faults("allocator.keep_memory()") < 100
    assert faults("allocator.keep_memory(); allocator.keep_memory()") < 100  # twice does no harm


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_nothing_happens_on_import() -> None:
    assert faults("pass") > 100
