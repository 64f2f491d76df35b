"""Frozen, few-shot and fine-tuned: nestvec.evaluation.feet."""

import json

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation.feet import feet
from nestvec.evaluation.kinds.classification import Classification

pytest.importorskip("sklearn")


class Numbers:
    """Texts are numbers; their class shows in the first dimension, the clearer the larger ``signal``."""

    fingerprint = "0"

    def __init__(self, name, signal):
        self.name, self.signal, self.calls = name, signal, 0

    def represent(self, texts):
        self.calls += 1
        values = np.array([int(text) for text in texts])
        noise = np.random.default_rng(0).standard_normal((2000, 8))[values]
        noise[:, 0] += self.signal * np.where(values % 2, 1, -1)
        return noise.astype(np.float32)


def numbers(start, stop):
    texts = tuple(map(str, range(start, stop)))
    return texts, tuple("odd" if int(text) % 2 else "even" for text in texts)


TASK = Classification(*numbers(0, 600), *numbers(600, 1000))


def test_more_labels_and_better_vectors_are_told_apart():
    weak, strong = Numbers("weak", 0.7), Numbers("strong", 2.0)
    rows = feet(TASK, weak, tuned=strong, shots=(8, 2))
    assert [(row.system, row.protocol) for row in rows] == [
        ("weak", "2-shot"), ("weak", "8-shot"), ("weak", "frozen"), ("strong", "fine-tuned")
    ]  # fmt: skip
    scores = [row.outcome.score for row in rows]
    assert scores == sorted(scores)
    frozen = rows[2]
    assert frozen.change is None
    assert (
        frozen.outcome.score == Classification(*numbers(0, 600), *numbers(600, 1000), way="probe").measure(weak).score
    )
    for row in (rows[0], rows[3]):
        assert row.change.interval.mean == pytest.approx(row.outcome.score - frozen.outcome.score)
        assert row.relative == pytest.approx(row.change.interval.mean / frozen.outcome.score)
    assert rows[0].change.interval.high < 0 < rows[3].change.interval.low
    told = json.loads(json.dumps([row.to_json() for row in rows]))
    assert told[3]["low"] <= told[3]["accuracy"] <= told[3]["high"]
    assert "change" not in told[2]


def test_texts_are_encoded_once():
    model = Numbers("m", 1.0)
    feet(TASK, model, shots=(1, 2, 3))
    assert model.calls == 1


@pytest.mark.parametrize("shots", [(0,), (2, 2), (-1, 4)])
def test_shots_that_are_none(shots):
    with pytest.raises(InputError, match="different numbers from 1 up"):
        feet(TASK, Numbers("m", 1.0), shots=shots)
