"""Clicks: the teacher, the models, the columns of a file, and the advisor."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError, UnknownNameError  # noqa: E402
from nestvec.tables import Table, fit_spec, make_spec, stored_bytes  # noqa: E402
from nestvec.training.columns import FIRST, NULL, UNSEEN, Columns, as_key, as_keys, fit_columns  # noqa: E402
from nestvec.training.ctr import CTRSettings, train_ctr  # noqa: E402
from nestvec.training.ctr_data import Examples, auc, auc_margin  # noqa: E402
from nestvec.training.ctr_models import CTRModel  # noqa: E402
from nestvec.training.ctr_teacher import Teacher  # noqa: E402
from nestvec.training.table_advisor import FULL, RARE, Advice, Measured, advise  # noqa: E402

TEACHER = Teacher(fields=4, largest=400, seed=1)


@pytest.fixture(scope="module")
def parts():
    return TEACHER.sample(12_000)[0].split(seed=0)


def test_auc_counts_pairs_and_halves_ties():
    rng = np.random.default_rng(0)
    for n in (2, 7, 40):
        scores, labels = rng.integers(0, 5, n).astype(float), np.arange(n) % 2
        pairs = [(p > q) + (p == q) / 2 for p in scores[labels == 1] for q in scores[labels == 0]]
        assert auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc([1, 2], [1, 1]))


def test_the_margin_of_an_auc_is_its_spread():
    rng = np.random.default_rng(0)
    labels = np.arange(200) < 60  # exponential scores of means 4 and 1 have an AUC of 4 / 5, and the formula is exact
    drawn = [auc(np.where(labels, rng.exponential(4.0, 200), rng.exponential(1.0, 200)), labels) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.8, abs=0.003)
    assert auc_margin(0.8, positive=60, negative=140) == pytest.approx(1.96 * np.std(drawn), rel=0.06)
    assert auc_margin(1.0, positive=1, negative=1) == 0


def test_the_teacher_keeps_its_word():
    examples, ceiling = TEACHER.sample(20_000)
    assert examples.rows == (10, 34, 117, 400)
    assert examples.labels.mean() == pytest.approx(0.22, abs=0.01)
    assert 0.8 < ceiling < 0.95
    starts = np.cumsum([0, *examples.rows])
    for f in range(4):
        local = examples.ids[:, f] - starts[f]
        assert local.min() >= 0
        assert local.max() < examples.rows[f]
        counts = np.bincount(local, minlength=examples.rows[f])
        assert counts[0] == counts.max()  # falling frequency
    again, same = TEACHER.sample(20_000)
    assert (again.ids == examples.ids).all()
    assert same == ceiling


def test_the_knobs_of_the_teacher_turn():
    def top(teacher, **changes):
        ids = teacher.sample(8000, **changes)[0].ids[:, 3]
        return np.bincount(ids - ids.min()).max() / len(ids)

    steep, flat = Teacher(fields=4, largest=400, skew=1.5), Teacher(fields=4, largest=400, skew=0.5)
    assert top(steep) > 1.5 * top(TEACHER) > 2 * top(flat)
    dense = Teacher(fields=4, largest=400, min_count=20).sample(8000)[0].ids
    counts = np.unique(dense[:, 3], return_counts=True)[1]
    assert (counts < 20).sum() <= 1  # what they became may itself be rare
    steady, drifting = (Teacher(fields=4, largest=400, drift=d).sample(8000, days=4)[0].ids[:, 3] for d in (0.0, 0.5))
    first, last = (np.bincount(drifting[part] - 161, minlength=400) for part in (slice(0, 2000), slice(6000, None)))
    a, b = (np.bincount(steady[part] - 161, minlength=400) for part in (slice(0, 2000), slice(6000, None)))
    assert np.corrcoef(a, b)[0, 1] > 0.95 > np.corrcoef(first, last)[0, 1]
    for bad in ({"fields": 1}, {"rate": 1.0}, {"drift": 2.0}, {"smallest": 9, "largest": 3}):
        with pytest.raises(InputError):
            Teacher(**bad)
    with pytest.raises(InputError, match="at least 1"):
        TEACHER.sample(0)


@pytest.mark.parametrize("kind", ["dcn", "deepfm"])
def test_models_against_their_formulas(kind):
    table = Table(make_spec("full", (5, 6), 4)).eval()
    model = CTRModel(table, ((0, 1), (1, 3)), kind=kind, seed=3)
    ids = torch.tensor([[0, 6, 7], [4, 10, -1], [2, -1, -1]])
    v = model.fields(ids)
    rows = table(torch.arange(11))
    assert torch.allclose(v[0], torch.stack([rows[0], (rows[6] + rows[7]) / 2]))
    assert torch.allclose(v[1, 1], rows[10])
    assert not v[2, 1].any()
    x = v.flatten(1)
    crossed = x if kind == "deepfm" else x * (x @ model.cross.weight.T + model.cross.bias) + x
    want = torch.cat([model.deep(x), crossed], 1) @ model.last.weight[0] + model.last.bias
    if kind == "deepfm":
        want = want + (v[:, 0] * v[:, 1]).sum(1)  # of two fields the factorisation machine is one product
    assert torch.allclose(model(ids), want, atol=1e-6)
    again = CTRModel(table, ((0, 1), (1, 3)), kind=kind, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(model.rest(), again.rest(), strict=True))
    with pytest.raises(UnknownNameError, match="dcn, deepfm"):
        CTRModel(table, ((0, 1),), kind="wide")


def test_training_learns_and_is_repeatable(parts):
    settings = CTRSettings(epochs=1.0, batch=256)
    spec = make_spec("int8", parts[0].rows, 8)
    one = train_ctr(spec, parts, settings=settings, seed=5)
    assert one.auc > 0.65
    assert one.spec.seed == 5
    assert one.table.spec == one.spec
    again = train_ctr(spec, parts, settings=settings, seed=5)
    assert (one.auc, one.valid_auc, one.log_loss) == (again.auc, again.valid_auc, again.log_loss)
    assert train_ctr(spec, parts, settings=settings, seed=6).auc != one.auc
    stopped = train_ctr(spec, parts, settings=settings, seed=5, stop=lambda: True)
    assert stopped.auc < one.auc


@pytest.mark.parametrize("stopped", [False, True])
def test_a_table_that_is_larger_at_first_is_judged_as_it_is_served(parts, stopped):
    full = stored_bytes(make_spec("full", parts[0].rows, 8))
    spec = fit_spec("dedup", parts[0].rows, 8, full // 2)
    run = train_ctr(spec, parts, settings=CTRSettings(epochs=1.0, batch=256), seed=0, stop=lambda: stopped)
    assert run.table.nbytes <= full // 2
    pointers = run.table.indexes["pointers"]
    assert (pointers != spec.compressor.first_indexes()["pointers"]).any()  # compared, also where it was stopped early
    assert run.auc > (0.5 if stopped else 0.62)


def test_advice_is_measured_and_fits(parts):
    said = []
    full = stored_bytes(make_spec("full", parts[0].rows, 8))
    advice = advise(
        parts, [full // 3, full // 3, 400], dim=8, seeds=2, settings=CTRSettings(epochs=1.0, batch=256),
        candidates=("hash", "unified+int4", "int4", "tensor_train"), say=said.append,
    )  # fmt: skip
    names = {m.name for m in advice.measured if m.budget == full // 3}
    assert {"low_dim", RARE} <= names
    assert advice.measured[0].name == FULL
    assert all(m.bytes <= m.budget for m in advice.measured[1:])
    assert all(len(m.aucs) == 2 and m.margin > 0 for m in advice.measured)
    assert set(advice.chosen) == {full // 3}
    assert {(b, name) for b, name, _ in advice.infeasible} >= {(400, "int4"), (400, "hash")}
    assert all(least > budget for budget, _, least in advice.infeasible)
    best = advice.chosen[full // 3].valid
    close = [m for m in advice.measured[1:] if m.valid >= best - 0.002]
    assert advice.recommended is min(close, key=lambda m: m.bytes)
    front = advice.front()
    assert [m.bytes for m in front] == sorted(m.bytes for m in front)
    assert [m.auc for m in front] == sorted(m.auc for m in front)
    assert len(advice.dropped) >= 1
    assert any(line.startswith("first round") for line in said)
    assert isinstance(advice, Advice)
    assert isinstance(front[0], Measured)
    with pytest.raises(InputError, match="a budget must hold a table, got 100 bytes; the least is"):
        advise(parts, [100], dim=8, seeds=1, settings=CTRSettings(epochs=0.1), candidates=("hash",))
    easy = advise(parts, [2 * full], dim=8, seeds=1, settings=CTRSettings(epochs=0.1), candidates=("hash",))
    assert easy.chosen[2 * full].valid >= max(m.valid for m in easy.measured)  # a full table that fits is a choice too
    positive = int(parts[1].labels.sum())
    margin = auc_margin(easy.recommended.valid, positive=positive, negative=len(parts[1]) - positive)
    assert easy.doubt == pytest.approx(margin, rel=0.01)
    rushed = advise(parts, [full // 3], dim=8, seeds=2, candidates=("hash",), minutes=0.0)
    assert all(len(m.aucs) == 1 and m.margin == np.inf for m in rushed.measured)


ROWS = [
    {"id": 7, "tags": "a|b", "price": 1.5, "who": "x", "y": 1},
    {"id": 7, "tags": "b", "price": 2.5, "who": None, "y": 0},
    {"id": 8, "tags": "b|c|a", "price": None, "who": "x", "y": 1},
    {"id": "8", "tags": None, "price": float("nan"), "who": "z", "y": 0},
]


def test_columns_become_ids():
    columns = fit_columns(ROWS, "y")
    by_name = {c.name: c for c in columns.fields}
    assert by_name["id"].keys == {"7": FIRST, "8": FIRST + 1}  # 8 and "8" are one
    assert by_name["tags"].keys == {"b": FIRST, "a": FIRST + 1}  # by falling frequency; c is rare
    assert by_name["tags"].slots == 3
    assert by_name["price"].cuts
    assert columns.positive == "1"
    kinds = {name: column.kind for name, column in by_name.items()}
    assert kinds["id"] == "2 values"
    assert kinds["tags"] == "lists of up to 3 of 2 values"
    assert kinds["price"] == f"numbers, {len(by_name['price'].cuts) + 1} steps"
    amounts = [{"y": i % 2, "bytes": 1000 + i * i, "user": i // 2} for i in range(40)]
    assert [bool(c.cuts) for c in fit_columns(amounts, "y").fields] == [True, False]  # hardly one comes twice, and all
    holes = fit_columns([{"shop": v, "y": i % 2} for i, v in enumerate([1.0, float("nan"), 1.0, 2.0, 2.0])], "y")
    assert set(holes.fields[0].keys) == {"1", "2"}  # whole numbers stay values where one is missing
    examples = columns.encode([*ROWS, {"id": 99, "tags": ["c", "a"], "price": 1e9, "y": None, "more": 1}])
    assert isinstance(examples, Examples)
    assert examples.labels.tolist() == [1, 0, 1, 0, 0]
    starts = np.cumsum([0, *columns.rows])
    tags = examples.ids[:, slice(*examples.spans[1])]
    local = np.where(tags < 0, -1, tags - starts[1])
    assert local.tolist() == [[3, 2, -1], [2, -1, -1], [2, UNSEEN, 3], [NULL, -1, -1], [UNSEEN, 3, -1]]
    assert examples.ids[3, 4] - starts[2] == NULL
    assert examples.ids[4, 4] - starts[2] == FIRST + len(by_name["price"].cuts)
    assert examples.ids[4, 0] == UNSEEN
    assert Columns.from_json(columns.to_json()) == columns
    assert examples.ids.max() < sum(columns.rows)


def test_what_columns_refuse():
    with pytest.raises(InputError, match=r"target must name a column, got 'z'; there are id, tags"):
        fit_columns(ROWS, "z")
    with pytest.raises(InputError, match="must have two different values, got 1"):
        fit_columns(ROWS[:1], "y")
    with pytest.raises(InputError, match="must have two different values, got 3"):
        fit_columns([{"y": v} for v in "abc"], "y")
    with pytest.raises(InputError, match="a column beside 'y'"):
        fit_columns([{"y": 1}, {"y": 0}], "y")
    with pytest.raises(InputError, match="must have numbers, got none in the 4 rows of 'who'"):
        fit_columns(ROWS, "y", numeric=["who"])
    with pytest.raises(InputError, match=r"Columns\.to_json"):
        Columns.from_json("[]")
    one = fit_columns([{"y": v, "same": 1, "none": None} for v in (0, 1)], "y")
    assert one.rows == (3, 2)  # a field with one value, and one with none, are fields
    with pytest.raises(InputError, match="training must have both labels"):
        TEACHER.sample(12)[0].take(np.zeros(4, np.int64)).split(seed=0)


def test_values_as_text():
    assert [as_key(v) for v in (1.0, " a ", None, float("nan"), True, 2.5)] == ["1", "a", "", "", "True", "2.5"]
    assert as_keys(["x", None, "x", 3], "") == ["x", "3"]
    assert as_keys("a| b||a", "|") == ["a", "b"]
