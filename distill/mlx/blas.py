"""OpenBLAS before MLX. Owns the one step that must come before the first `import mlx.core`, and its threads.

MLX's Linux CPU wheel carries a reference BLAS (2.4 GFLOP/s in float32 on two cores). Symbols of an OpenBLAS that was
loaded globally beforehand win over it (180 GFLOP/s). On macOS MLX brings its own, and nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import ThreadpoolController

from distill.errors import DistillError


class BlasTooLate(DistillError):
    """MLX was imported before OpenBLAS: call distill.mlx.blas.prepare() first in the process."""


_PACKAGE = "cmeel.prefix"  # where the package cmeel-openblas keeps its library
_PATIENCE = "12"  # a thread out of work spins for 2^12 cycles, not 2^26, before it lets somebody else have the core
_prepared: list[str] = []  # what the first call found; a process has one BLAS


def prepare(threads: int = 1) -> str:
    """Load OpenBLAS with `threads` threads so that MLX finds it; say what was found.

    The first call in a process decides. Returns "openblas", or "builtin" where MLX's own is used.
    """
    if not _prepared:
        _prepared.append(_prepare_linux(threads) if sys.platform == "linux" else "builtin")
    return _prepared[0]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """While this holds, MLX's matrix products are computed by so many threads each, and numpy's by one: who uses numpy
    beside MLX shares its work out himself. Neither may compute while it begins or ends.
    """
    libraries = ThreadpoolController().select(internal_api="openblas").lib_controllers
    before = [library.get_num_threads() for library in libraries]
    try:
        for library in libraries:
            library.set_num_threads(count if _PACKAGE in library.filepath else 1)
        yield
    finally:
        for library, number in zip(libraries, before, strict=True):
            library.set_num_threads(number)


def _prepare_linux(threads: int) -> str:
    if "mlx.core" in sys.modules:
        raise BlasTooLate
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # its kernels are compiled at run time
    site = Path(sysconfig.get_path("platlib"))
    library = site / _PACKAGE / "lib/libopenblas.so.0"
    if not library.exists():
        return "builtin"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _PATIENCE)
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError:  # no Fortran runtime on this machine: lend it the one in MLX's own wheel
        if not _lend_fortran_runtime(site / "mlx_cpu.libs"):
            return "builtin"
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    return "openblas"


def _lend_fortran_runtime(folder: Path) -> bool:
    """Load the libgfortran of MLX's wheel under its plain name.

    Wheels carry it under a name with a hash ("libgfortran-1a2b3c4d.so.5.0.0"), which the loader does not match with
    OpenBLAS's wish for "libgfortran.so.5". A copy with the shorter name written over the longer one is matched.
    """
    for quadmath in folder.glob("libquadmath-*.so*"):
        ctypes.CDLL(str(quadmath), mode=ctypes.RTLD_GLOBAL)
    for runtime in folder.glob("libgfortran-*.so.5*"):
        long_name, plain_name = runtime.name.encode(), b"libgfortran.so.5"
        renamed = runtime.read_bytes().replace(long_name + b"\0", plain_name.ljust(len(long_name) + 1, b"\0"))
        with tempfile.TemporaryDirectory() as private:
            copy = Path(private, "libgfortran.so.5")
            copy.write_bytes(renamed)
            ctypes.CDLL(str(copy), mode=ctypes.RTLD_GLOBAL)  # stays mapped after the file is gone
        return True
    return False
