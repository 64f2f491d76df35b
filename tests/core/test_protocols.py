import inspect

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from nestvec.core import Hits, protocols
from nestvec.core.errors import InputError
from nestvec.core.types import Float32
from nestvec.tables.strings import string_ids


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
    for _ in range(50):  # beartype chooses at random; see conftest.py
        assert string_ids([None, "a", "b"]).shape == (3,)
        with pytest.raises(InputError, match="got 7 at 2"):
            string_ids(["a", "b", 7])
        with pytest.raises(TypeCheckError):
            string_ids([7, "a", "b"])
