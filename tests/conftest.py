"""Shared by all tests. Shapes are checked on every call of nestvec; no torch is imported here."""

from __future__ import annotations

import os
import random
from pathlib import Path

os.environ["NESTVEC_CHECK_SHAPES"] = "1"  # before the first import of nestvec: see nestvec.core.types
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # one thread for each of the processes side by side: more would wait for others
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# The type checker looks at one random item of a sequence. Here it is the first, so that a test which passes a wrong
# item on purpose fails always or never. It takes the function when it is first imported, with nestvec.
random.getrandbits = lambda _bits: 0

settings.register_profile("nestvec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nestvec")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of data sets; a test that needs it is skipped, saying so, where it is absent."""
    here = Path(os.environ.get("NESTVEC_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not here.is_dir():
        pytest.skip(f"no data folder at {here}; set NESTVEC_DATA")
    return here
