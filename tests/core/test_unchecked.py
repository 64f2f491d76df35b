"""What a caller outside the test suite sees where the suite's own check of shapes and types would speak first."""

import os
import subprocess
import sys

import pytest

START = """
import sys
import numpy as np
from nestvec.core import Hits, MultiVectors, Size, Space, Vectors, as_matrix
from nestvec.core.errors import InputError, NestvecError
assert "jaxtyping" not in sys.modules and "beartype" not in sys.modules
space = Space("mini", "w", "mean", 4)
try:
    {line}
except NestvecError as error:
    assert isinstance(error, InputError)
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Hits(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.float32))", "ShapeError ids and scores must both be"),
        ("Vectors(np.zeros(4, np.float32), space)", "ShapeError values must be [n, 4]"),
        ("MultiVectors(np.zeros((1, 4), np.float32), np.zeros((1, 1), np.int64), space)", "ShapeError offsets must"),
        ("Space('mini', 'w', 'mean', 4, metric='euclid')", "InputError metric must be 'cosine' or 'dot', got 'euclid'"),
        ("Space.from_json(space.to_json() | {'metric': 'euclid'})", "InputError metric must be"),
        ("Size(depth=1.5)", "InputError depth must be a whole number"),
        ("as_matrix(3.0, name='x')", "ShapeError x must be [n, d], got shape ()"),
        ("as_matrix(None, name='x')", "x must be"),
        ("as_matrix([object()], name='x')", "InputError x must be an [n, d] array of numbers"),
    ],
)
def test_the_error_is_a_sentence_of_nestvec(line, says):
    env = {name: value for name, value in os.environ.items() if name != "NESTVEC_CHECK_SHAPES"}
    run = subprocess.run(
        [sys.executable, "-c", START.format(line=line)], env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert says in run.stdout
