"""Parts as named arrays. The contract suites of codecs and reducers cover the rest."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from nestvec.core.errors import FormatError, InputError
from nestvec.core.portable import fingerprint, from_arrays, id_of, nbytes, to_arrays


@dataclass(frozen=True, eq=False)
class Part:
    values: np.ndarray
    count: int
    share: float
    on: bool

    id: ClassVar[str] = "part@1"

    def __post_init__(self):
        if len(self.values) > 3:
            raise InputError("values must be few, got many.")


PART = Part(np.arange(3, dtype=np.float32), 7, 0.1, True)


def test_numbers_and_arrays_come_back_as_they_were():
    again = from_arrays(Part, to_arrays(PART))
    assert (again.count, again.share, again.on) == (7, 0.1, True)
    assert [type(x) for x in (again.count, again.share, again.on)] == [int, float, bool]
    assert again.values.dtype == np.float32
    assert (again.values == PART.values).all()
    assert id_of(to_arrays(PART)) == "part@1"


def test_every_bit_counts():
    changed = [
        Part(np.nextafter(PART.values, 9), 7, 0.1, True),
        Part(PART.values.astype(np.float64), 7, 0.1, True),
        Part(PART.values[None], 7, 0.1, True),
        Part(PART.values, 8, 0.1, True),
    ]
    assert len({fingerprint(part) for part in (PART, *changed)}) == 5


def test_bytes_of_what_is_stored_once():
    assert nbytes(PART) == 12 + 8 + 8 + 1


@pytest.mark.parametrize("value", [np.array([np.nan]), np.array(["a"]), np.array([1j])])
def test_what_is_no_plain_number_is_refused(value):
    with pytest.raises(FormatError, match="values of part@1 must be finite numbers"):
        from_arrays(Part, {**to_arrays(PART), "values": value})


def test_arrays_that_do_not_fit_together_are_refused():
    with pytest.raises(FormatError, match="must be few"):
        from_arrays(Part, {**to_arrays(PART), "values": np.zeros(4)})
