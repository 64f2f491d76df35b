"""A ladder from a small model and a few texts, end to end, and what goes wrong on the way."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from nestvec.core.errors import InputError, NotFiniteError  # noqa: E402
from nestvec.encoders import load  # noqa: E402
from nestvec.training.assembly import student_tensors, table_tensors  # noqa: E402
from nestvec.training.distill import Progress, Rung, Settings, distill, rate_at  # noqa: E402
from nestvec.training.fit import Plan, fit  # noqa: E402
from nestvec.training.proxies import Proxy  # noqa: E402
from nestvec.training.sampling import Recipe, Sampler  # noqa: E402
from nestvec.training.saving import load_student, save_student  # noqa: E402
from nestvec.training.starting import closed_heads, first_table, make_student  # noqa: E402
from nestvec.training.student import add_low_rank, cut, layer_list, mean_pool  # noqa: E402
from nestvec.training.teacher import encode_corpus, nearest, to_device  # noqa: E402
from nestvec.training.terms import Term  # noqa: E402

pytestmark = pytest.mark.text

PLAN = {"depths": (1, 2), "dims": (8,), "rank": 4, "table_ranks": (4, 8), "batch_tokens": 256, "held_out": 40}


def full_of(teacher):
    return lambda rows: {"full": teacher.vectors(*to_device(rows, "cpu")).numpy()}


@pytest.fixture
def student(teacher, corpus, special):
    heads = closed_heads(teacher, corpus, special, (1, 2), width=24, tokens=512, most=1000)
    table = first_table(teacher, corpus, special, rank=8)
    torch.manual_seed(0)
    return make_student(teacher, heads, table, rank=4)


def test_a_cut_model_gives_the_layers_of_the_whole_one(teacher, corpus, special, student):
    from nestvec.training.sampling import windows

    ids, mask = to_device(windows(corpus, special, width=24, rows=np.arange(6)), "cpu")
    states, _ = teacher.states(ids, mask)
    found = cut(teacher.body, 2)(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    assert torch.allclose(found[mask], states[2][mask], atol=1e-5)
    assert len(layer_list(teacher.body)[1]) == 3
    assert torch.allclose(mean_pool(states[1], mask), teacher.pool(states[1], mask), atol=1e-5)
    with pytest.raises(InputError, match="depth"):
        cut(teacher.body, 4)
    with torch.no_grad():
        assert student(ids, mask)[1].shape == (6, 32)


def test_adapters_change_nothing_at_first(teacher):
    body, plain = cut(teacher.body, 2), cut(teacher.body, 2)
    add_low_rank(body, 3)
    ids = torch.arange(5, 15)[None]
    assert torch.equal(body(input_ids=ids).last_hidden_state, plain(input_ids=ids).last_hidden_state)


def test_training_lowers_every_loss_and_only_touches_what_may_change(teacher, corpus, special, student):
    vectors = encode_corpus(teacher, corpus, special, width=24, tokens=512)
    assert vectors.shape == (200, 32)
    near = nearest(vectors, k=5, device="cpu")
    assert (near != np.arange(200)[:, None]).all()
    source = Sampler(corpus, near, special, Recipe(tokens=512, caps=(24,), short=12), seed=0)
    frozen = {name: p.clone() for name, p in student.named_parameters() if not p.requires_grad}
    seen = []
    rungs = (Rung(1), Rung(2), Rung(1, dim=8, weight=0.2), Rung(0), Rung(0, rank=4))
    settings = Settings(rungs, steps=30, layer_rate=3e-3, report_every=0.0)
    specials = (*special.first, *special.last, special.pad)
    progress = distill(
        teacher, student, source, settings, rotation=torch.eye(32), special=specials,
        report=lambda _, losses: seen.append(losses),
    )  # fmt: skip
    assert progress.step == len(seen) == 30
    assert set(seen[0]) == {"L1-dall-rall", "L2-dall-rall", "L1-d8-rall", "L0-dall-rall", "L0-dall-r4"}
    for name in seen[0]:
        assert np.mean([x[name] for x in seen[-5:]]) < np.mean([x[name] for x in seen[:5]]), name
    for name, p in student.named_parameters():
        if name in frozen:
            assert torch.equal(frozen[name], p), name


def test_the_rate_rises_and_falls():
    rates = [rate_at(done / 100, 0.1) for done in range(101)]
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert np.argmax(rates) == 10
    assert rates[-1] == pytest.approx(0.01)
    assert rate_at(5.0, 0.1) == pytest.approx(0.01)


def test_a_rung_must_exist_and_a_loss_be_finite(teacher, corpus, special, student):
    source = Sampler(corpus, np.empty((200, 0), np.int32), special, Recipe(tokens=256, caps=(24,), short=12), seed=0)
    with pytest.raises(InputError, match="depth 3"):
        distill(teacher, student, source, Settings((Rung(3),), steps=1))
    with pytest.raises(InputError, match="a term to learn from"):
        distill(teacher, student, source, Settings((Rung(1),), steps=1, terms=(Term("score-kl@1", rungs=(2,)),)))
    with torch.no_grad():
        student.heads["1"].weight.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="step 1"):
        distill(teacher, student, source, Settings((Rung(1),), steps=1), report=lambda *_: None)


def test_a_proxy_gives_the_full_model_everything(teacher, corpus, special):
    proxy = Proxy.of(corpus, full_of(teacher), special, queries=20, width=24)
    kept = proxy.measure(full_of(teacher))["full"]
    assert kept.neighbours == pytest.approx(1, abs=0.02)  # padding may swap two that are almost equal
    assert kept.order == pytest.approx(1, abs=1e-3)
    assert kept.cosine == pytest.approx(1, abs=1e-5)
    rng = np.random.default_rng(0)
    noise = proxy.measure(lambda rows: {"noise": rng.standard_normal((len(rows.ids), 5)).astype(np.float32)})["noise"]
    assert noise.neighbours < 0.3
    assert noise.cosine is None


def test_a_student_comes_back_from_its_files(student, teacher, tmp_path):
    save_student(tmp_path, student, half=False)
    before = {name: p.detach().clone() for name, p in student.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1)
    assert set(load_student(tmp_path, student)) == set(before)
    for name, p in student.named_parameters():
        if name in before:
            assert torch.equal(p, before[name])
    other = make_student(teacher, {1: (np.zeros((32, 32), np.float32), np.zeros(32, np.float32))}, None, rank=2)
    with pytest.raises(InputError, match="settings"):
        load_student(tmp_path, other)


def test_a_fitted_ladder_gives_the_vectors_that_were_trained(model_folder, texts, tmp_path):
    said = []
    fitted = fit(model_folder, texts, plan=Plan(**PLAN, steps=25), say=said.append, licences=["ours: CC0"])
    assert [rung.depth for rung in fitted.ladder.rungs] == [0, 1, 2]
    assert fitted.ladder.licences == ("ours: CC0",)
    assert set(fitted.kept) == {"raw", "closed", "distilled"}
    assert any("L2: keeps" in line and "raw" in line and "distilled" in line for line in fitted.lines())
    assert fitted.ladder.recipe["steps"] == 25
    fitted.ladder.save(tmp_path / "ladder")
    encoder = load(model_folder, precision="float32", ladder=tmp_path / "ladder")
    some = [f"{title} {text}".strip() for title, text in texts[:12]]
    full = encoder.encode(some).values
    for size in ("L2", "L1", "L0"):
        vectors = encoder.encode(some, size=size).values
        assert vectors.shape == full.shape
        assert np.isfinite(vectors).all()
    assert encoder.encode(some, size="L2-d8").values.shape == (12, 8)


@pytest.mark.parametrize("rank", [None, 4])
def test_tensors_of_a_student_are_the_student(teacher, corpus, special, rank, model_folder):
    from nestvec.encoders.checkpoint import find
    from nestvec.encoders.ladder import Ladder
    from nestvec.encoders.ladder import Rung as LadderRung
    from nestvec.training.sampling import windows

    heads = closed_heads(teacher, corpus, special, (1, 2), width=24, tokens=512, most=1000)
    student = make_student(teacher, heads, first_table(teacher, corpus, special, rank=8), rank=rank)
    source = Sampler(corpus, np.empty((200, 0), np.int32), special, Recipe(tokens=256, caps=(24,), short=12), seed=0)
    specials = (*special.first, *special.last, special.pad)
    distill(teacher, student, source, Settings((Rung(1), Rung(2), Rung(0)), steps=5), special=specials)
    tensors = student_tensors(student, teacher.body) | table_tensors(student.table)
    kinds = {name.split(".")[0] for name in tensors}
    assert kinds == {"head", "value", "table", "delta" if rank is None else "lora"}
    found = find(model_folder)
    rungs = tuple(LadderRung(k, (32,), "distilled") for k in (0, 1, 2))
    ladder = Ladder(found.fingerprint, found.name, found.tokenizer, 32, rungs, tensors)
    encoder = load(model_folder, precision="float32", ladder=ladder)
    rows = windows(corpus, special, width=24, rows=np.arange(8))
    ids, mask = to_device(rows, "cpu")
    with torch.no_grad():
        wanted = student(ids, mask)
        wanted[0] = student.table.vectors(student.table.bag(ids, mask & ~torch.isin(ids, torch.tensor(specials))))
    tokenizer = encoder.stack.tokenizer
    some = [tokenizer.decode(row[m], skip_special_tokens=True) for row, m in zip(rows.ids, rows.mask, strict=True)]
    for depth, vectors in wanted.items():
        got = encoder.encode(some, size=f"L{depth}").values
        assert (got * torch.nn.functional.normalize(vectors, dim=1).numpy()).sum(axis=1).min() > 0.999


def test_a_stopped_run_goes_on_where_it_was(model_folder, texts, tmp_path, monkeypatch):
    straight = fit(model_folder, texts, plan=Plan(**PLAN, steps=6))
    from nestvec.training import distill as module

    plan = Plan(**PLAN, steps=6)

    original = module.Settings
    monkeypatch.setattr("nestvec.training.fit.Settings", lambda *a, **k: original(*a, **{**k, "report_every": 0.0}))
    from nestvec.training import saving

    calls = []

    def save_then_stop(*args):
        saving.save_run(*args)
        calls.append(args[3].step)
        if args[3].step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("nestvec.training.fit.save_run", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        fit(model_folder, texts, plan=plan, folder=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "progress.json").read_text())["progress"]["step"] == 3
    said = []
    again = fit(model_folder, texts, plan=plan, folder=tmp_path / "run", say=said.append)
    assert "going on from step 3" in said
    for name, tensor in straight.ladder.tensors.items():
        got, wanted = again.ladder.tensors[name].astype(np.float32), tensor.astype(np.float32)
        assert np.abs(got - wanted).max() <= 0.01 * max(1.0, float(np.abs(wanted).max())), name
    with pytest.raises(InputError, match="settings"):
        fit(model_folder, texts, plan=Plan(**PLAN, steps=7), folder=tmp_path / "run")


def test_closed_forms_alone_need_no_training(model_folder, texts):
    fitted = fit(model_folder, texts, plan=Plan(**PLAN, steps=0))
    assert {rung.kind for rung in fitted.ladder.rungs} == {"closed"}
    assert set(fitted.kept) == {"raw", "closed"}
    assert not any(name.startswith(("lora", "value")) for name in fitted.ladder.tensors)


def test_memory_can_be_spared(model_folder, texts):
    plan = Plan(**{**PLAN, "table_ranks": ()}, steps=2, accumulate=2, spare_memory=True)
    fitted = fit(model_folder, texts, plan=plan)
    assert [rung.depth for rung in fitted.ladder.rungs] == [1, 2]


def test_what_cannot_be_fitted_is_refused(model_folder, texts):
    with pytest.raises(InputError, match="at least 10 texts"):
        fit(model_folder, texts[:9], plan=Plan(**PLAN))
    with pytest.raises(InputError, match="differ"):
        fit(model_folder, [("", "the cat sat on the mat")] * 30, plan=Plan(**PLAN))
    with pytest.raises(InputError, match="3 layers"):
        fit(model_folder, texts, plan=Plan(depths=(3,)))
    with pytest.raises(InputError, match="a rung"):
        Plan(depths=(), table_ranks=())
    with pytest.raises(InputError, match="rank"):
        Plan(rank=0)
    assert Progress().step == 0
