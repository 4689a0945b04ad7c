"""The step before the first import of MLX, each time in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="macOS brings its own BLAS")


def python(code: str) -> str:
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=checkout, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_module_imports_no_mlx() -> None:
    assert python("import sys; from distill.mlx import blas; print('mlx.core' in sys.modules)") == "False"


@linux
def test_mlx_multiplies_with_openblas() -> None:
    code = """
from distill.mlx import blas
print(blas.prepare(1), blas.prepare(2))
import time, mlx.core as mx
a = mx.ones((1024, 1024)); mx.eval(a @ a)
best = 9.0
for _ in range(5):
    start = time.perf_counter(); mx.eval(a @ a); best = min(best, time.perf_counter() - start)
print(best < 0.3)  # the reference BLAS takes 0.9 s, OpenBLAS 0.03 s
"""
    assert python(code).split() == ["openblas", "openblas", "True"]


@linux
def test_too_late_is_said() -> None:
    code = """
import mlx.core
from distill.mlx import blas
try:
    blas.prepare()
except blas.BlasTooLate as error:
    print(error)
"""
    assert "before OpenBLAS" in python(code)


@linux
def test_the_fortran_runtime_of_mlx_can_be_lent() -> None:
    code = """
import ctypes, sysconfig
from pathlib import Path
from distill.mlx import blas
folder = Path(sysconfig.get_path("platlib"), "mlx_cpu.libs")
assert folder.is_dir(), folder
print(blas._lend_fortran_runtime(folder), blas._lend_fortran_runtime(folder / "nowhere"))
ctypes.CDLL("libgfortran.so.5")  # found by its plain name now, on a machine without one too
"""
    assert python(code) == "True False"


@linux
def test_threads_are_set_for_a_while() -> None:
    code = """
from distill.mlx import blas
blas.prepare(1)
import mlx.core, numpy
from threadpoolctl import ThreadpoolController
def now():
    return {"cmeel" in l.filepath: l.get_num_threads() for l in ThreadpoolController().lib_controllers}
before = now()
with blas.threads(2):
    print(now()[True], now()[False])
print(now() == before, before[True])
"""
    assert python(code).split() == ["2", "1", "True", "1"]
