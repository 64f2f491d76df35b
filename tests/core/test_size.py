import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Size
from nestvec.core.errors import InputError


def dial(low, high):
    return st.none() | st.integers(low, high)


sizes = st.builds(Size, depth=dial(0, 99), vectors=dial(1, 999), dim=dial(1, 99999), bits=dial(1, 32))


@given(sizes)
def test_what_is_written_is_read_back(size):
    assert Size.parse(str(size)) == size
    assert Size.parse(size) is size


@given(sizes, sizes)
def test_two_sizes_have_one_text_only_if_they_are_equal(a, b):
    assert (str(a) == str(b)) == (a == b)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("full", Size()),
        ("L3-v1-d128-b8", Size(3, 1, 128, 8)),
        ("d128", Size(dim=128)),
        ("L0-b1", Size(depth=0, bits=1)),
        ("vall-d8", Size(dim=8)),
    ],
)
def test_known_texts(text, size):
    assert Size.parse(text) == size


@pytest.mark.parametrize(
    "text", ["", "-", "L", "L3d128", "d128-L3", "L3-", "-L3", "L3--d1", "x8", "L-1", "fUll", "d8 "]
)
def test_other_texts_are_refused_with_an_example(text):
    with pytest.raises(InputError, match="L3-v1-d128-b8"):
        Size.parse(text)


@pytest.mark.parametrize("dials", [{"depth": -1}, {"vectors": 0}, {"dim": 0}, {"bits": 0}, {"bits": 33}])
def test_a_dial_outside_its_range_is_named(dials):
    with pytest.raises(InputError, match=f"{next(iter(dials))} must be a whole number"):
        Size(**dials)


@pytest.mark.parametrize("text", ["v0", "d0", "b0", "b33"])
def test_the_text_form_has_the_same_ranges(text):
    with pytest.raises(InputError, match="whole number"):
        Size.parse(text)
