"""Reading a budget: nestvec.planner.budget."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError
from nestvec.planner.budget import Budget


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Budget()),
        ("200MB", Budget(ram=200_000_000)),
        ("200MB, p95 10ms", Budget(ram=200_000_000, p95=0.01)),
        ("1.5 GiB ram, 2GB disk", Budget(ram=3 * 2**29, disk=2 * 10**9)),
        ("disk <= 500 kB, p50 < 800us, keep 98%", Budget(disk=500_000, p50=0.0008, keep=0.98)),
        ("memory 1GB, keep 0.95", Budget(ram=10**9, keep=0.95)),
        ("10ms p95", Budget(p95=0.01)),
        ("1,5GB", Budget(ram=1_500_000_000)),
    ],
)
def test_what_can_be_written(text, expected):
    found = Budget.parse(text)
    for name in ("ram", "disk", "p50", "p95", "keep"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10ms", "p95 10ms"),
        ("200", "unit"),
        ("lots", "one amount"),
        ("200MB, 300MB", "ram once"),
        ("p95 200MB", "unit"),
        ("keep 98", "at most 1"),
        ("keep 10ms", "unit"),
        ("0MB", "above 0"),
        ("-5MB", "one amount"),
        ("p95 p50 5ms", "one amount"),
        ("5 parsecs", "unit"),
        (",", "one amount"),
    ],
)
def test_what_cannot_says_how(text, says):
    with pytest.raises(InputError, match=says):
        Budget.parse(text)


@given(st.integers(1, 10**7), st.sampled_from(["kB", "MB", "KiB", "gb"]), st.sampled_from(["", " disk", " ram"]))
def test_any_amount_of_bytes_is_read_back(count, unit, of):
    found = Budget.parse(f"{count}{unit}{of}")
    factor = {"kB": 1000, "MB": 10**6, "KiB": 1024, "gb": 10**9}[unit]
    assert (found.disk if "disk" in of else found.ram) == count * factor


@given(st.text(max_size=30))
def test_nonsense_is_refused_with_a_sentence(text):
    with contextlib.suppress(InputError):
        found = Budget.parse(text)
        assert found == Budget() or any(v is not None for v in found.to_json().values())
