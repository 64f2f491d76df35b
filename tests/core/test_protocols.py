import inspect
from collections.abc import Sequence

import numpy as np
import pytest
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation

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


def test_the_first_item_of_a_sequence_is_the_one_whose_type_is_checked():
    @beartype
    def count(texts: Sequence[str]) -> int:
        return len(texts)

    for _ in range(50):  # beartype chooses at random; see conftest.py
        assert count(["a", "b", 7]) == 3
        with pytest.raises(BeartypeCallHintParamViolation):
            count([7, "a", "b"])
