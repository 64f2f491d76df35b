"""Small edits of texts: nestvec.evaluation.diagnostics.edits."""

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation.diagnostics.edits import EDITS, Growth, capitals, edits, half, mistyped, shuffled
from nestvec.evaluation.diagnostics.robustness import replace_words
from nestvec.evaluation.diagnostics.subject import Subject

TEXT = "the quick brown foxes jump over lazy sleeping dogs at noon"


def test_edits_do_what_they_are_called():
    rng = np.random.default_rng(0)
    typed = mistyped(TEXT, rng)
    changed = [(a, b) for a, b in zip(TEXT.split(), typed.split(), strict=True) if a != b]
    assert len(changed) <= 1
    assert all(sorted(a) == sorted(b) and a[0] == b[0] for a, b in changed)
    assert sorted(shuffled(TEXT, rng).split()) == sorted(TEXT.split())
    assert shuffled(TEXT, rng) != TEXT
    assert half(TEXT, rng) == "the quick brown foxes jump"
    assert capitals("a b", rng) == "A B"
    assert [edit("a", rng) for edit in EDITS.values()] == ["a", "A", "a", "a"]


def test_as_many_words_are_replaced_as_were_asked_for():
    texts = [TEXT, "one two three four five six seven"]
    for count in (1, 3):
        for old, new in zip(texts, replace_words(texts, count=count, seed=1), strict=True):
            assert sum(a != b for a, b in zip(old.split(), new.split(), strict=True)) <= count


def test_growth_is_found_again():
    found = Growth.of([1, 2, 4, 8], [0.3 * count**0.5 for count in (1, 2, 4, 8)])
    assert (found.scale, found.exponent) == pytest.approx((0.3, 0.5))
    for counts, distances in (([1, 1], [1.0, 2.0]), ([1, 2], [0.0, 1.0]), ([1], [1.0])):
        with pytest.raises(InputError, match="two different counts"):
            Growth.of(counts, distances)


def test_a_bag_of_words_knows_neither_order_nor_case(bag):
    rng = np.random.default_rng(3)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    vocabulary = ["".join(rng.choice(letters, 6)) for _ in range(80)]
    texts = [" ".join(rng.choice(vocabulary, 24)) for _ in range(60)]
    found = edits(Subject.from_array(bag.encode(texts).values, texts=texts), bag)
    assert found["kept after words in another order"] > 0.999
    assert found["kept after capitals"] == 1
    assert 0 < found["kept after first half only"] < 1
    assert found["kept after typing errors in a tenth of the words"] < 1
    assert 0.3 < found["exponent"] < 0.8  # random directions add up like the square root
    assert "survives" in found.meaning or found.advice


def test_short_texts_have_no_curve(bag):
    texts = [f"{a} {b}" for a in ("boat", "sail", "oven", "tide", "seed") for b in ("rain", "soil", "road", "hall")]
    found = edits(Subject.from_array(bag.encode(texts).values, texts=texts), bag)
    assert [figure.name for figure in found.figures] == [f"kept after {name}" for name in EDITS]
