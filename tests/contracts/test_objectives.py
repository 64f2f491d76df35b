"""What every loss must do. Runs over the catalogue: a new objective is tested by adding how it is called here."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError, ShapeError  # noqa: E402
from nestvec.objectives import OBJECTIVES  # noqa: E402

pytestmark = pytest.mark.text


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def slow_match(student, teacher):
    return float(np.mean([1 - a @ b for a, b in zip(unit(student), unit(teacher), strict=True)]))


def slow_kl(student, teacher, t=0.05):
    total = 0.0
    for i in range(len(student)):
        rows = []
        for vectors in (teacher, student):
            scores = unit(vectors)[i] @ unit(vectors).T / t
            scores = np.delete(scores, i)
            rows.append(scores - math.log(np.exp(scores - scores.max()).sum()) - scores.max())
        total += float((np.exp(rows[0]) * (rows[0] - rows[1])).sum())
    return total / len(student)


def slow_info_nce(a, b, t=0.05):
    total = 0.0
    for i in range(len(a)):
        scores = unit(a)[i] @ unit(b).T / t
        total -= scores[i] - math.log(np.exp(scores - scores.max()).sum()) - scores.max()
    return total / len(a)


def slow_means(tokens, k, rounds=5):
    """Unit means of ``k`` spherical clusters of unit ``tokens``, token by token."""
    if len(tokens) <= k:
        return tokens
    chosen = [int(np.argmin(tokens @ unit(tokens.sum(0)[None])[0]))]
    while len(chosen) < k:
        chosen.append(int(np.argmin([max(token @ tokens[c] for c in chosen) for token in tokens])))
    means = tokens[chosen]
    for _ in range(rounds):
        member = [int(np.argmax([token @ mean for mean in means])) for token in tokens]
        means = np.stack([tokens[[m == c for m in member]].sum(0) for c in range(k) if c in member])
        means = unit(means)
    return means


def slow_crisp(a, b, t=0.05):
    """Of texts of four tokens of two numbers: clusters of two and three, and late interaction of their means."""
    total = 0.0
    for i in range(len(a)):
        own = slow_means(unit(a[i].reshape(4, 2)), 2)
        scores = []
        for row in b:
            theirs = slow_means(unit(row.reshape(4, 2)), 3)
            scores.append(np.mean([max(x @ y for y in theirs) for x in own]) / t)
        scores = np.array(scores)
        total -= scores[i] - math.log(np.exp(scores - scores.max()).sum()) - scores.max()
    return total / len(a)


def slow_rank_share(x):
    p = np.linalg.svd(unit(x), compute_uv=False) ** 2 / len(x)
    return -sum(v * math.log(v) for v in p if v > 1e-12) / math.log(min(x.shape))


def slow_rank(student, teacher):
    return (slow_rank_share(student) - slow_rank_share(teacher)) ** 2


def as_tokens(x):
    return x.reshape(len(x), 4, 2)


def not_itself(x):
    return torch.eye(len(x), dtype=torch.bool)


# How each is called on a student's vectors and a teacher's, the same in plain numpy, and what is best possible.
CASES = {
    "embedding-match@1": (lambda part: part(), lambda f, s, t: f(s, t), slow_match),
    "score-kl@1": (lambda part: part(), lambda f, s, t: f(s, s, t, t, ignore=not_itself(s)), slow_kl),
    "info-nce@1": (lambda part: part(), lambda f, s, t: f(s, t), slow_info_nce),
    "nested@1": (
        lambda part: part(OBJECTIVES["info-nce@1"](), (3, 8)),
        lambda f, s, t: f(s, t),
        lambda s, t: (slow_info_nce(s[:, :3], t[:, :3]) + slow_info_nce(s, t)) / 2,
    ),
    "crisp@1": (lambda part: part((2, 3)), lambda f, s, t: f(as_tokens(s), as_tokens(t)), slow_crisp),
    "representation-rank@1": (lambda part: part("teacher"), lambda f, s, t: f(s, t), slow_rank),
}


@pytest.fixture(params=list(OBJECTIVES))
def case(request):
    make, call, slow = CASES[request.param]
    return make(OBJECTIVES[request.param]), call, slow


def draw(seed, n=6, d=8):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, d))


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_slow_reference(case, seed):
    objective, call, slow = case
    student, teacher = draw(seed)
    got = call(objective, torch.from_numpy(student), torch.from_numpy(teacher))
    assert got.ndim == 0
    assert float(got) == pytest.approx(slow(student, teacher), rel=1e-9)


def test_the_gradient_is_finite_and_lowers_the_loss(case):
    objective, call, _ = case
    student, teacher = (torch.from_numpy(x).float() for x in draw(0))
    student.requires_grad_()
    teacher.requires_grad_()
    before = call(objective, student, teacher)
    before.backward()
    assert torch.isfinite(student.grad).all()
    assert float(student.grad.abs().sum()) > 0
    with torch.no_grad():
        after = call(objective, student - 1e-3 * student.grad / student.grad.norm(), teacher)
    assert float(after) < float(before.detach())


def test_the_gradient_is_that_of_finite_differences(case):
    objective, call, _ = case
    student, teacher = (torch.from_numpy(x) for x in draw(1, n=4))
    assert torch.autograd.gradcheck(lambda s: call(objective, s, teacher), student.requires_grad_())


def test_rows_do_not_care_about_order(case):
    objective, call, _ = case
    student, teacher = (torch.from_numpy(x) for x in draw(2))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(student)))
    together = float(call(objective, student, teacher))
    assert float(call(objective, student[order], teacher[order])) == pytest.approx(together, rel=1e-12)


def test_length_does_not_count(case):
    objective, call, _ = case
    student, teacher = (torch.from_numpy(x) for x in draw(3))
    assert float(call(objective, student * 7, teacher)) == pytest.approx(float(call(objective, student, teacher)))


@pytest.mark.parametrize("name", ["embedding-match@1", "score-kl@1", "representation-rank@1"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(name):
    make, call, _ = CASES[name]
    student, _ = (torch.from_numpy(x) for x in draw(4))
    assert float(call(make(OBJECTIVES[name]), student, student.clone())) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["embedding-match@1", "score-kl@1", "representation-rank@1"])
def test_no_gradient_reaches_the_teacher(name):
    make, call, _ = CASES[name]
    student, teacher = (torch.from_numpy(x).requires_grad_() for x in draw(5))
    call(make(OBJECTIVES[name]), student, teacher).backward()
    assert teacher.grad is None


def test_no_rows_and_rows_that_do_not_fit_are_refused(case):
    objective, call, _ = case
    a, b = (torch.from_numpy(x) for x in draw(6))
    with pytest.raises(ShapeError):
        call(objective, a, b[:3])
    with pytest.raises((ShapeError, InputError)):
        call(objective, a[:0], b[:0])


def test_settings_are_checked():
    with pytest.raises(InputError):
        OBJECTIVES["score-kl@1"](temperature=0.0)
    with pytest.raises(InputError):
        OBJECTIVES["info-nce@1"](temperature=-1.0)
    with pytest.raises(InputError):
        OBJECTIVES["crisp@1"](temperature=0.0)
    with pytest.raises(InputError):
        OBJECTIVES["crisp@1"]((0, 8))
    with pytest.raises(InputError):
        OBJECTIVES["nested@1"](OBJECTIVES["info-nce@1"](), ())
