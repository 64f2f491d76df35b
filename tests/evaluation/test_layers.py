"""Reports on depths: one pass a task, differences to the full model, and suggestions that are honest."""

import json
import re
from typing import ClassVar

import numpy as np
import pytest

from nestvec.core import Space
from nestvec.core.errors import InputError
from nestvec.evaluation import Outcome, Shelf, Suite, Task, layer_report
from nestvec.evaluation.layers import Layered, _suggest
from tests.evaluation.conftest import Letters


class Depths:
    """Letter runs in 2, 8 and 64 buckets for layers one, three and two; the full model is ``L3``."""

    full = "L3"
    made: ClassVar = {"L1": "slice", "L2": "slice", "L3": "model"}

    def __init__(self):
        self.parts = {"L1": Letters(2), "L2": Letters(64), "L3": Letters(8)}
        self.calls = []

    @property
    def space(self):
        return self.parts[self.full].space

    @property
    def spaces(self) -> dict[str, Space]:
        return {name: part.space for name, part in self.parts.items()}

    def encode_each(self, records):
        self.calls.append("documents")
        return {name: part.encode(list(records)).values for name, part in self.parts.items()}

    def encode_query_each(self, queries):
        self.calls.append("queries")
        return {name: part.encode(list(queries)).values for name, part in self.parts.items()}


@pytest.fixture
def suite(own):
    return Suite(tuple(Task(name, f"{name}@1", str(own[name])) for name in ("retrieval", "bitext")))


def outcome(values):
    items = tuple(map(str, range(len(values))))
    values = np.asarray(values, np.float64)
    return Outcome("accuracy", {"accuracy": float(values.mean())}, items, {"accuracy": values})


def test_all_sizes_of_a_task_share_one_pass_and_stand_beside_baselines(suite, tmp_path):
    encoder = Depths()
    assert isinstance(encoder, Layered)
    kept = Suite(suite.tasks, shelf=Shelf(tmp_path / "kept"))
    report = layer_report(encoder, kept, label="m")
    assert encoder.calls == ["queries", "documents", "documents"]
    for task in ("retrieval", "bitext"):
        assert [row.size for row in report.rows[task]] == ["L1", "L2", "L3"]
        assert report.rows[task][2].gap is None
        assert report.rows[task][0].gap.interval.mean == pytest.approx(
            report.rows[task][0].result.outcome.score - report.rows[task][2].result.outcome.score
        )
    assert report.baselines["retrieval"][0].system == "BM25"
    assert report.baselines["bitext"][-1].trivial
    assert set(report.skipped) == {"retrieval", "bitext"}  # a dozen items
    assert not report.suggestions
    assert {one.model for one in report.warned} <= {"m"}
    told = json.loads(json.dumps(report.to_json()))
    assert told["tasks"]["retrieval"]["sizes"][0]["difference"] < 0
    again = layer_report(encoder, kept, label="m")
    assert len(encoder.calls) == 3  # everything was on the shelf
    assert [row.result.kept for row in again.rows["bitext"]] == [True] * 3


def test_figures_are_those_of_the_encoder_by_itself(suite):
    from nestvec.evaluation import Model

    report = layer_report(Depths(), suite)
    for task, kind in suite.load().items():
        alone = kind.measure(Model(Letters(64)))
        assert report.rows[task][1].result.outcome.score == pytest.approx(alone.score)


def test_confidence_is_checked(suite):
    with pytest.raises(InputError, match="between 0 and 1, got 1"):
        layer_report(Depths(), suite, confidence=1.0)


def halves(full, other):
    """``{task: (choosing, confirming)}`` of two sizes with the values given for each half."""
    return {
        "t": tuple({"L2": outcome(full[i]), "L1": outcome(other[i])} for i in (0, 1)),
    }


GOOD, BAD = [1.0, 0.0, 1.0, 1.0] * 10, [0.0, 0.0, 1.0, 0.0] * 10


@pytest.mark.parametrize(
    ("full", "other", "size", "verdict", "says"),
    [
        ((GOOD, GOOD), (BAD, GOOD), "L2", "full", "nothing was better"),
        ((GOOD, GOOD), (GOOD, GOOD), "L2", "full", "nothing was better"),
        ((BAD, BAD), (GOOD, GOOD), "L1", "better", "confirms it: \\+0.5"),
        ((BAD, GOOD), (GOOD, BAD), "L1", "worse", "L2, the full model: L1 was chosen on one half, and is worse"),
        ((BAD, GOOD), (GOOD, GOOD[::-1]), "L1", "open", "cannot tell it from the full model: \\+0.0"),
    ],
)
def test_what_is_said_comes_from_the_half_that_did_not_choose(full, other, size, verdict, says):
    found = _suggest("L2", ("t",), halves(full, other), confidence=0.95, seed=0)
    assert (found.size, found.verdict) == (size, verdict)
    assert re.search(says, str(found))
    assert found.to_json()["verdict"] == verdict


def test_of_equal_sizes_something_is_named_better_about_as_rarely_as_promised():
    rng = np.random.default_rng(0)
    named = 0
    for trial in range(24):
        sizes = {f"L{k}": rng.standard_normal(60) for k in range(8)}
        split = {
            "t": tuple({name: outcome(x[part]) for name, x in sizes.items()} for part in (slice(30), slice(30, 60)))
        }
        named += _suggest("L7", ("t",), split, confidence=0.95, seed=trial).verdict == "better"
    assert named <= 4  # 2.5 % of 24 are expected; choosing and judging on the same items would give a third


def test_a_part_of_an_outcome_has_the_score_of_its_items():
    one = outcome([1.0, 0.0, 1.0, 0.5])
    assert one.part(np.array([0, 3])).score == 0.75
    assert one.part(np.array([0, 3])).items == ("0", "3")
    rng = np.random.default_rng(0)
    columns = {"predicted": rng.standard_normal(9), "truth": np.arange(9.0)}
    pairs = Outcome("r", {"r": 0.0}, tuple("abcdefghi"), columns, statistic="spearman")
    rows = np.arange(2, 7)
    assert pairs.part(rows).score == pytest.approx(pairs.of(columns["predicted"][rows], columns["truth"][rows]))
