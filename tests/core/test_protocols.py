import inspect

import numpy as np

from nestvec.core import Hits, protocols
from nestvec.core.types import Float32


def test_every_protocol_can_be_checked_at_run_time():
    kinds = [c for _, c in inspect.getmembers(protocols, inspect.isclass) if c.__module__ == protocols.__name__]
    assert kinds
    for kind in kinds:
        assert getattr(kind, "_is_runtime_protocol", False), kind


def test_a_searcher_is_what_searches():
    class Nothing:
        def search(self, queries, k, *, allow=None):
            return Hits.empty(len(queries), k)

    assert isinstance(Nothing(), protocols.Searcher)
    assert not isinstance(object(), protocols.Searcher)


def test_shapes_are_checked_in_the_tests():
    assert Float32[np.ndarray, "n d"] is not np.ndarray
