"""Scattered rows give the same scores with and without numba, in one thread and several."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nestvec.kernels import gather
from nestvec.kernels.jit import Kernel


@pytest.fixture
def fresh(monkeypatch):
    """A process that has compiled nothing yet."""
    kernel = Kernel(gather._build)
    monkeypatch.setattr(gather, "kernel", kernel)
    return kernel


def problem(m=5000, d=384):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2 * m, d)).astype(np.float32)
    values.setflags(write=False)
    return values, np.sort(rng.choice(2 * m, m, replace=False)), rng.standard_normal(d).astype(np.float32)


def test_numpy(fresh):
    values, at, query = problem()
    np.testing.assert_allclose(gather.dots(values, at, query), values[at] @ query, atol=1e-4)
    assert gather.path() == "numpy"


@pytest.mark.parametrize("m", [0, 1, 3, 5, 5001])
def test_numba_gives_the_same(fresh, m):
    pytest.importorskip("numba")
    assert fresh.compile_now() == gather.path() == "numba"
    values, at, query = problem(m)
    np.testing.assert_allclose(gather.dots(values, at, query), values[at] @ query, atol=1e-4)


def test_from_several_threads(fresh):
    fresh.compile_now()
    values, at, query = problem()
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: gather.dots(values, at, query), range(20)):
            np.testing.assert_allclose(got, values[at] @ query, atol=1e-4)


def test_numba_comes_when_it_has_paid_for_itself(fresh):
    pytest.importorskip("numba")
    values, at, query = problem(8, 8)
    gather.dots(values, at, query)
    assert gather.path() == "numpy"
    fresh.spend(60.0)
    assert gather.path() == "numba"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    pytest.importorskip("numba")
    code = """
from numba.core import caching
caching.CacheImpl._locator_classes = []  # as if no folder could be written
from nestvec.kernels import gather
assert gather.kernel.compile_now() == "numba"
"""
    env = {**os.environ, "HOME": "/nonexistent"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=60)


def test_importing_does_not_bring_numba():
    code = "import sys, nestvec.search.flat, nestvec.search.graph, nestvec.search.backends.faiss\n"
    code += "assert not {'numba', 'faiss', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_gets_its_own_threads():
    code = """
import os, warnings
import numpy as np
from nestvec.kernels import gather
gather.kernel.compile_now()
values, at, query = np.ones((8000, 384), np.float32), np.arange(0, 8000, 2), np.ones(384, np.float32)
gather.dots(values, at, query)
warnings.simplefilter("ignore")
pid = os.fork()
if not pid:
    os._exit(0 if (gather.dots(values, at, query) == 384).all() else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
