"""Looking, judging and picking: nestvec.planner.screening and nestvec.planner.choosing."""

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.planner.budget import Budget
from nestvec.planner.choosing import LEAST_QUERIES, Rules, affordable, choose
from nestvec.planner.screening import screen
from tests.planner.conftest import costs, simulated

TRUTH = [1.0, *np.linspace(0.5, 0.995, 30)]
RAM = [100_000, *range(1_000, 91_000, 3_000)]


def lookup(scores):
    def measure(position, queries, *, judging):
        return scores[position, queries]

    return measure


def run(scores, *, budget=None, keep=0.9, ram=RAM, **more):
    return choose(
        lookup(scores), costs(ram, **more), scores.shape[1], budget=budget or Budget(), rules=Rules(keep=keep)
    )


def test_the_cheapest_that_is_sure_to_keep_enough():
    found = run(simulated(TRUTH, 600, rng=np.random.default_rng(0)))
    assert found.verdict == "chosen"
    assert 0.9 <= TRUTH[found.position] < 0.96
    at = found.judged.tolist().index(found.position)
    assert found.kept.low[at] >= 0.9
    cheaper = [i for i, low in zip(found.judged, found.kept.low, strict=True) if low >= 0.9]
    assert RAM[found.position] == min(RAM[i] for i in cheaper)


def test_a_promise_is_broken_no_more_often_than_said():
    broken, trials = 0, 60
    for trial in range(trials):
        scores = simulated(TRUTH, 150, rng=np.random.default_rng(trial))
        found = choose(lookup(scores), costs(RAM), 150, budget=Budget(), rules=Rules(keep=0.9, seed=trial))
        broken += TRUTH[found.position] < 0.9
    assert broken <= 0.05 * trials + 3 * np.sqrt(0.05 * 0.95 * trials)


def test_picking_by_looks_would_break_it_far_more_often():
    """What the split and the joint bounds are for: the same data, the naive rule."""
    broken, trials = 0, 60
    for trial in range(trials):
        scores = simulated(TRUTH, 150, rng=np.random.default_rng(trial))
        share = scores.mean(axis=1) / scores[0].mean()
        broken += TRUTH[next(i for i in np.argsort(RAM) if share[i] >= 0.9)] < 0.9
    assert broken > 0.4 * trials


def test_queries_that_judge_had_no_part_in_the_look():
    scores, seen = simulated(TRUTH, 90, rng=np.random.default_rng(0)), {True: set(), False: set()}

    def measure(position, queries, *, judging):
        seen[judging] |= set(queries.tolist())
        return scores[position, queries]

    choose(measure, costs(RAM), 90, budget=Budget(), rules=Rules())
    assert not seen[True] & seen[False]
    assert seen[True] | seen[False] == set(range(90))


def test_most_candidates_are_measured_on_few_queries():
    scores = simulated(TRUTH, 300, rng=np.random.default_rng(0))
    found = screen(lookup(scores), costs(RAM), np.arange(100), keep=0.9, allowed=np.ones(len(RAM), bool), finalists=5)
    assert len(found.finalists) <= 5
    assert 0 not in found.finalists
    assert (found.queries >= 25).all()
    assert np.median(found.queries) == 25
    assert not np.isnan(found.share).any()


def test_finalists_are_spread_over_memory():
    scores = simulated([1.0] + [0.99] * 30, 300, rng=np.random.default_rng(3))
    found = screen(lookup(scores), costs(RAM), np.arange(100), keep=0.9, allowed=np.ones(len(RAM), bool), finalists=5)
    groups = [np.searchsorted([19_000, 37_000, 55_000, 73_000], RAM[i], side="right") for i in found.finalists]
    assert sorted(groups) == [0, 1, 2, 3, 4]


def test_too_few_queries_are_refused_and_the_number_needed_is_told():
    scores = simulated([1.0, 0.99, 0.985], 60, rng=np.random.default_rng(0))
    found = run(scores, keep=0.98, ram=[100, 10, 5])
    assert (found.verdict, found.position) == ("unproven", 0)
    assert found.needed is not None
    assert found.needed > 60
    assert found.cheapest in (1, 2)
    with pytest.raises(InputError, match=f"at least {LEAST_QUERIES} queries"):
        run(scores[:, :10])


def test_a_budget_that_nothing_good_meets_names_the_nearest():
    scores = simulated(TRUTH, 600, rng=np.random.default_rng(0))
    free = run(scores)
    tight = run(scores, budget=Budget(ram=RAM[free.position] - 15_000))
    assert tight.verdict == "unaffordable"
    assert RAM[tight.position] > RAM[free.position] - 15_000
    assert tight.within is not None
    position, share, low = tight.within
    assert RAM[position] <= RAM[free.position] - 15_000
    assert low < 0.9
    assert low <= share


def test_a_budget_with_room_for_nothing():
    scores = simulated(TRUTH, 300, rng=np.random.default_rng(0))
    found = run(scores, budget=Budget(ram=10))
    assert (found.verdict, found.within) == ("unaffordable", None)
    assert found.kept.low[found.judged.tolist().index(found.position)] >= 0.9


def test_time_limits_count_as_they_were_taken():
    scores = simulated([1.0, 0.999, 0.999], 300, rng=np.random.default_rng(0))

    def slower(known, judged):
        assert 0 in judged
        return costs([100, 50, 10], p95=[0.001, 0.001, 0.5])

    found = choose(
        lookup(scores), costs([100, 50, 10], p95=[0.001] * 3), 300, budget=Budget(p95=0.01), rules=Rules(keep=0.9),
        refine=slower,
    )  # fmt: skip
    assert found.position == 1
    assert found.costs.p95[2] == 0.5


def test_nothing_found_by_the_full_size_is_no_yardstick():
    with pytest.raises(InputError, match="must find something"):
        run(np.zeros((31, 60)))


@pytest.mark.parametrize(
    "wrong", [{"keep": 0.0}, {"keep": 1.1}, {"confidence": 1.0}, {"look": 0.0}, {"look": 1.0}, {"finalists": 0}]
)
def test_rules_out_of_range(wrong):
    with pytest.raises(InputError):
        Rules(**wrong)


def test_what_a_budget_has_room_for():
    known = costs([10, 20, 30], p95=[3.0, 2.0, 1.0])
    assert affordable(known, Budget()).tolist() == [True] * 3
    assert affordable(known, Budget(ram=20, p95=2.0)).tolist() == [False, True, False]
    assert affordable(known, Budget(disk=15, p50=1.5)).tolist() == [True, False, False]
