"""Needles in long texts, and two models side by side."""

import sys

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation.diagnostics.needle import needle
from nestvec.evaluation.diagnostics.similar import compare
from nestvec.evaluation.diagnostics.subject import Subject

module = sys.modules["nestvec.evaluation.diagnostics.needle"]  # the package has a function of that name


@pytest.mark.parametrize("kind", ["passkey", "needle"])
def test_a_short_window_misses_what_lies_behind_it(bag, kind):
    filler = " ".join(module._FILLER).casefold().replace(".", " ").replace(",", "")
    short = type(bag)(window=64, dim=512, deaf=[*filler.split(), "what", "pass", "key", "keep", "keeps"])
    near, far = needle(short, kind=kind, lengths=(48, 512), documents=12, questions=12)
    assert near.seen == 1
    assert near.found > 0.8
    assert far.seen < 0.5
    assert far.found < far.seen + 0.3
    assert near.low <= near.found <= near.high
    assert near.chance == pytest.approx(1 / 12)
    assert far.false_alarms >= near.false_alarms


def test_documents_have_the_length_asked_for(bag):
    seen = []

    class Spy(type(bag)):
        def encode(self, records, **more):
            seen.append([len(text.split()) for text in records])
            return super().encode(records, **more)

        encode_query = type(bag).encode

    needle(Spy(), lengths=(100, 400), documents=10, questions=5)
    assert [abs(np.mean(counts) - n) < 0.1 * n for counts, n in zip(seen, (100, 400), strict=True)] == [True, True]


def test_needles_repeat_with_their_seed(bag):
    def asked(seed):
        return needle(bag, lengths=(64,), documents=10, questions=5, seed=seed)

    assert asked(1) == asked(1)
    assert asked(1)[0].to_json()["tokens"] == 64


@pytest.mark.parametrize(
    "wrong",
    [{"documents": 1}, {"questions": 0}, {"questions": 200}, {"lengths": ()}, {"lengths": (8,)}, {"documents": 1000}],
)
def test_numbers_out_of_range(bag, wrong):
    with pytest.raises(InputError, match="there must be"):
        needle(bag, **wrong)


def cloud(n=500, d=24, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_a_turned_space_is_the_same_model():
    x = cloud()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((24, 24)))[0].astype(np.float32)
    found = compare(Subject.from_array(x), Subject.from_array(x @ turn))
    assert [figure.value for figure in found.figures] == pytest.approx([1, 1, 1, 1], abs=0.02)
    assert found.warning == ""
    assert "10.0" in found.meaning


def test_cka_hides_what_changes_at_the_top():
    """A few strong directions in common, and weak ones that differ: alike as a whole, other neighbours."""
    shared = np.hstack([6 * cloud(800, 6, 0), np.zeros((800, 40), np.float32)])
    a, b = (shared + np.hstack([np.zeros((800, 6), np.float32), 2 * cloud(800, 40, s)]) for s in (1, 2))
    found = compare(Subject.from_array(a), Subject.from_array(b), k=5)
    assert found["CKA"] > 0.7
    assert found["Jaccard@5"] < 0.4
    assert "CKA" in found.warning
    assert found.to_json()["warning"] == found.warning


def test_unrelated_models_share_by_chance_only():
    found = compare(Subject.from_array(cloud(seed=1)), Subject.from_array(cloud(d=30, seed=2)))
    assert found["CKA"] < 0.2
    assert found["Jaccard@10"] < 0.05


def test_what_cannot_be_compared_is_refused():
    a = Subject.from_array(cloud(30))
    with pytest.raises(InputError, match="same items"):
        compare(a, Subject.from_array(cloud(31)))
    with pytest.raises(InputError, match="fewer neighbours"):
        compare(a, a, k=30)
    with pytest.raises(InputError, match="at least 1"):
        compare(a, a, k=0)
