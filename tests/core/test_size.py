import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Size
from nestvec.core.errors import InputError


def dial(low, high):
    return st.none() | st.integers(low, high)


shares = st.integers(1, 99).map(lambda percent: f"{percent}%")
many = dial(1, 999) | shares | st.just("all")
sizes = st.builds(Size, depth=dial(0, 99), vectors=many, dim=dial(1, 99999), bits=dial(1, 32))


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
        ("vall-d8", Size(vectors="all", dim=8)),
        ("v25%", Size(vectors="25%")),
        ("L3-v8-b4", Size(depth=3, vectors=8, bits=4)),
    ],
)
def test_known_texts(text, size):
    assert Size.parse(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "L",
        "L3d128",
        "d128-L3",
        "L3-",
        "-L3",
        "L3--d1",
        "x8",
        "L-1",
        "fUll",
        "d8 ",
        "v",
        "d25%",
        "v%",
        "v1.5%",
        "vAll",
        "v８",
    ],
)
def test_other_texts_are_refused_with_an_example(text):
    with pytest.raises(InputError, match="L3-v1-d128-b8"):
        Size.parse(text)


@pytest.mark.parametrize("dials", [{"depth": -1}, {"vectors": 0}, {"dim": 0}, {"bits": 0}, {"bits": 33}])
def test_a_dial_outside_its_range_is_named(dials):
    with pytest.raises(InputError, match=f"{next(iter(dials))} must be a whole number"):
        Size(**dials)


@pytest.mark.parametrize("vectors", ["0%", "100%", "025%", "25", "most", "", "-1%"])
def test_a_share_is_of_whole_percent_or_all(vectors):
    with pytest.raises(InputError, match="'1%' to '99%', or 'all'"):
        Size(vectors=vectors)


@given(sizes, sizes, sizes)
def test_sizes_have_one_order(a, b, c):
    assert (a < b) + (b < a) + (a == b) == 1
    assert (a <= b) == (not b < a)
    assert sorted([a, b, c]) == sorted([c, b, a])
    if a < b and b < c:
        assert a < c


def test_small_sizes_come_first():
    texts = ["L0-v1-d64", "L0-d64", "L3-v1", "L3-v8-d8", "L3-v8", "L3-v5%", "L3-v25%", "L3-vall", "L3", "v1", "full"]
    assert [str(size) for size in sorted(map(Size.parse, reversed(texts)))] == texts
    with pytest.raises(TypeError):
        assert Size() < "full"


@given(many, st.integers(0, 10_000))
def test_kept_is_never_more_than_there_are_and_one_at_least(vectors, tokens):
    kept = Size(vectors=vectors).kept(tokens)
    assert min(tokens, 1) <= kept <= tokens
    if isinstance(vectors, int):
        assert kept == min(vectors, tokens)
    elif vectors in (None, "all"):
        assert kept == tokens
    else:
        assert 0 <= kept * 100 - tokens * int(vectors[:-1]) < 100


def test_many_is_what_one_pooled_vector_is_not():
    assert [Size.parse(text).many for text in ("full", "v1", "v2", "v1%", "vall")] == [False, False, True, True, True]


@pytest.mark.parametrize("text", ["v0", "d0", "b0", "b33"])
def test_the_text_form_has_the_same_ranges(text):
    with pytest.raises(InputError, match="whole number"):
        Size.parse(text)
