"""Strings as ids, and the table that reads them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError  # noqa: E402
from nestvec.tables import RowWiseAdagrad, Table, fit_spec, make_spec, stored_bytes  # noqa: E402
from nestvec.tables.method import Sizes  # noqa: E402
from nestvec.tables.methods.multi_hash_features import MultiHashFeatures  # noqa: E402
from nestvec.tables.strings import BITS, STRING_IDS, features, string_ids, unpack  # noqa: E402


def test_what_a_string_looks_like():
    assert features("C3PO-1234567") == {"norm": "c3po-1234567", "suffix": "567", "shape": "XdXX-dddd", "prefix": "C"}
    assert features("Äpfel")["shape"] == "Xxxxx"
    assert features("a")["suffix"] == "a"
    assert features("internationally")["shape"] == "xxxx"


def test_ids_share_the_bits_of_what_they_share():
    a, b, c = string_ids(["Apple", "apple", "maple"])[:, None]
    assert unpack(a, "norm") == unpack(b, "norm") != unpack(c, "norm")
    assert unpack(a, "suffix") == unpack(c, "suffix")
    assert unpack(b, "shape") == unpack(c, "shape") != unpack(a, "shape")
    assert unpack(a, "prefix") != unpack(b, "prefix")
    assert string_ids(["", None, "x"])[:2].tolist() == [-1, -1]
    assert string_ids([]).shape == (0,)
    with pytest.raises(InputError, match="got 7 at 1"):
        string_ids(["a", 7])


@settings(max_examples=25)
@given(st.lists(st.text(max_size=12), max_size=20))
def test_ids_are_within_the_table_and_depend_on_the_string_alone(texts):
    ids = string_ids(texts)
    assert ((ids >= -1) & (ids < STRING_IDS)).all()
    assert ((ids == -1) == [not text for text in texts]).all()
    assert (ids[::-1] == string_ids(texts[::-1])).all()
    whole = sum(unpack(ids, name) << shift for name, shift in zip(BITS, (0, 22, 39, 52), strict=True))
    assert (whole == ids)[ids >= 0].all()


def test_another_process_gives_the_same_ids():
    code = "from nestvec.tables.strings import string_ids; print(*string_ids(['Zürich', 'a', '日本']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [int(x) for x in done.stdout.split()] == string_ids(["Zürich", "a", "日本"]).tolist()


def test_the_row_is_that_of_the_formula():
    table = Table(make_spec("multi_hash_features", (STRING_IDS,), 6, buckets=50)).eval()
    ids = string_ids(["Apple", "pears", "x9"])
    w = {name: part.weight.detach().numpy() for name, part in table.held.items()}
    made = table.spec.compressor
    at = made.locate(made.sizes.split(ids))
    assert {name: place.shape for name, place in at.items()} == dict.fromkeys(BITS, (3, 4))
    assert w["norm"].shape == (100, 6)
    x = np.concatenate([w[name][at[name]].sum(axis=1) for name in BITS], axis=1)
    best = (x @ w["layer"][:-1] + w["layer"][-1]).reshape(3, 3, 6).max(axis=1)
    normal = (best - best.mean(axis=1, keepdims=True)) / np.sqrt(best.var(axis=1, keepdims=True) + 1e-5)
    assert np.allclose(table(torch.from_numpy(ids)).detach().numpy(), normal * w["stretch"] + w["shift"], atol=1e-5)


def test_fields_of_strings_have_hashes_of_their_own():
    made = MultiHashFeatures(Sizes((STRING_IDS, STRING_IDS)), 6, buckets=1000)
    ids = string_ids(["apple"])
    both = made.locate(made.sizes.split(np.concatenate([ids, ids + STRING_IDS])))
    assert all((place[0] != place[1]).any() for place in both.values())


def test_a_string_never_seen_is_read_by_its_ending():
    """Learns +1 for words in -ing and -1 for those in -ers; others with these endings must come out alike."""
    stems = [f"{a}{b}{c}" for a in "bdfglmprst" for b in "aeiou" for c in "bdklmnprt"]
    words = [s + end for s in stems for end in ("ing", "ers")]
    wanted = torch.tensor([1.0, -1.0]).repeat(len(stems))[:, None]
    ids = torch.from_numpy(string_ids(words))
    rng = np.random.default_rng(0).permutation(len(words))
    train, test = torch.from_numpy(rng[:250]), torch.from_numpy(rng[250:550])
    table = Table(fit_spec("multi_hash_features", (STRING_IDS,), 8, 40_000))
    assert stored_bytes(table.spec) <= 40_000
    optimiser = RowWiseAdagrad(table.parameters(), lr=0.1)
    for _ in range(25):
        optimiser.zero_grad()
        (table(ids[train]) - wanted[train]).square().mean().backward()
        optimiser.step()
    read = table.freeze().rows(ids[test].numpy()).mean(axis=1)
    assert (np.sign(read) == wanted[test, 0].numpy()).mean() > 0.95
