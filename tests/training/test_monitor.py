"""Rank, alignment and uniformity during a fit (nestvec.training.monitor)."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from nestvec.metrics.spectrum import rankme  # noqa: E402
from nestvec.metrics.uniformity import alignment, uniformity  # noqa: E402
from nestvec.training.fit import Plan, fit  # noqa: E402
from nestvec.training.monitor import FIGURES, Course, Geometry, row_of  # noqa: E402
from nestvec.training.saving import PROGRESS_FILE  # noqa: E402
from nestvec.training.terms import STARBUCKS, Term  # noqa: E402

pytestmark = pytest.mark.text

PLAN = {"depths": (1,), "dims": (8,), "rank": 4, "table_ranks": (), "batch_tokens": 256, "held_out": 40}
SPREAD = (*STARBUCKS, Term("representation-rank@1", weight=20.0, rungs="full", options={"toward": "high"}))


def seen(rank):
    return Geometry(rank, 0.5, -2.0)


def test_figures_are_those_of_the_metrics():
    rng = np.random.default_rng(0)
    texts, queries, own = rng.standard_normal((30, 6)), rng.standard_normal((4, 6)), np.array([3, 0, 9, 9])
    found = Geometry.of(queries, texts, own)
    assert found.rank == rankme(texts)
    assert found.alignment == pytest.approx(alignment(queries, texts[own]).mean())
    assert found.uniformity == uniformity(texts)


def test_a_course_tells_where_the_rank_was_highest():
    rows = [
        row_of(s, {"L1": 0.1, "L1-d8": 0.05}, {"L1": seen(r), "L1-d8": seen(r)})
        for s, r in ((0, 3.0), (5, 9.0), (9, 4.0))
    ]
    course = Course(tuple(rows), Geometry(8.0, 0.4, -3.0))
    assert course.sizes == ("L1", "L1-d8")
    assert course.series("L1", "rank") == ((0, 3.0), (5, 9.0), (9, 4.0))
    assert course.series("L1-d8") == ((0, 0.05), (5, 0.05), (9, 0.05))
    assert course.lines()[0].startswith("L1: rank 3.0 to 4.0 (highest 9.0 at step 5; full 8.0), alignment 0.500 to 0.5")
    assert len(course.lines()) == 1
    assert "at the start" in Course(tuple(rows[1:]), course.full).lines()[0]
    assert "at the end" in Course(tuple(rows[:2]), course.full).lines()[0]
    assert Course(tuple(rows[:1]), course.full).lines() == Course((), course.full).lines() == []
    assert json.loads(json.dumps(course.to_json()))["full"] == {"rank": 8.0, "alignment": 0.4, "uniformity": -3.0}


def test_a_fit_reports_every_so_many_steps_into_its_log_and_goes_on_from_there(model_folder, texts, tmp_path):
    said = []
    plan = Plan(**PLAN, steps=6, report_steps=2)
    fitted = fit(model_folder, texts, plan=plan, folder=tmp_path / "run", say=said.append)
    assert [row["step"] for row in fitted.course.rows] == [0, 2, 4, 6]
    logged = json.loads((tmp_path / "run" / PROGRESS_FILE).read_text())["progress"]["curve"]
    assert logged == [dict(row) for row in fitted.course.rows]
    assert set(logged[0]) == {"step", *(f"{n}{f}" for n in ("L1", "L1-d8") for f in ("", *(f" {x}" for x in FIGURES)))}
    assert logged[-1]["L1 rank"] == pytest.approx(fitted.kept["distilled"]["L1"].geometry.rank, rel=1e-6)
    assert any("rank: L1 " in line for line in said)
    again = fit(model_folder, texts, plan=plan, folder=tmp_path / "run", say=said.append)
    assert again.course.rows == fitted.course.rows
    assert "going on from step 6" in said


def test_a_rank_term_moves_the_rank(model_folder, texts):
    plain, spread = (fit(model_folder, texts, plan=Plan(**PLAN, steps=8, terms=terms)) for terms in (STARBUCKS, SPREAD))
    assert spread.course.rows[-1]["L1 rank"] > plain.course.rows[-1]["L1 rank"]
    assert plain.course.full == spread.course.full
    assert plain.ladder.recipe["terms"][0]["objective"] == "score-kl@1"
    assert spread.ladder.recipe["terms"][2]["options"] == {"toward": "high"}
