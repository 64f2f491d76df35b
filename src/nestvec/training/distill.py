"""The loop: every step, every rung learns from what the full model makes of the same texts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from nestvec.core.errors import InputError, MissingExtraError, NotFiniteError
from nestvec.training.matching import Matching
from nestvec.training.sampling import Rows, by_length
from nestvec.training.student import Student
from nestvec.training.teacher import Teacher, to_device
from nestvec.training.terms import STARBUCKS, Term

try:
    import torch
    from torch import Tensor
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause


_PARTS = 2  # a batch is read in so many parts of like length: a quarter less padding, and matrices that stay large


@runtime_checkable
class Source(Protocol):
    """Where batches come from."""

    def batch(self, number: int) -> tuple[Rows, Rows]:
        """Short and long rows of batch ``number``, always the same for the same number."""
        ...


@dataclass(frozen=True)
class Rung:
    """One size that is trained.

    Args:
        depth: layers; 0 is the token table.
        dim: leading dimensions that are scored, after the rotation of :class:`Settings`; None for all.
        weight: of its loss in the sum.
        rank: for depth 0, leading codes that are used; None for all.
    """

    depth: int
    dim: int | None = None
    weight: float = 1.0
    rank: int | None = None


@dataclass(frozen=True)
class Settings:
    """How a student is trained.

    Args:
        rungs: all of them in every step, as in Starbucks.
        steps: of the optimiser.
        seconds: stop by then, whatever ``steps`` says; the learning rate falls with whichever is further on.
        layer_rate: peak learning rate of layers or adapters.
        head_rate: of heads.
        table_rate: of the token table.
        decay: weight decay of layers.
        warm_up: part of the run in which rates rise.
        accumulate: batches in a step.
        terms: what the loss of a rung is made of; each rung must have one.
        report_every: seconds between two calls of ``report``.
        report_steps: steps between two calls of ``report``, beside those by time; 0 for none.

    Source: Zhuang et al. 2024, sec. 3.1 (arXiv:2410.13230), for the fixed rungs summed in each step.
    """

    rungs: tuple[Rung, ...]
    steps: int = 2000
    seconds: float = math.inf
    layer_rate: float = 3e-4
    head_rate: float = 1e-3
    table_rate: float = 1e-2
    decay: float = 0.01
    warm_up: float = 0.03
    accumulate: int = 1
    terms: tuple[Term, ...] = STARBUCKS
    report_every: float = 60.0
    report_steps: int = 0

    @property
    def of_tokens(self) -> bool:
        """Whether a term learns from the vectors of tokens."""
        return any(term.of_tokens for term in self.terms)


@dataclass
class Progress:
    """Where a run is: ``step`` done, ``seconds`` spent, and a curve of what was reported."""

    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)


Report = Callable[[Progress, dict[str, float]], None]


def optimiser(student: Student, settings: Settings) -> Any:
    """AdamW with one group a kind of parameter; only what is not frozen takes part."""
    named = [(name, p) for name, p in student.named_parameters() if p.requires_grad]
    if not named:
        raise InputError("a student must have something to train, got one that is frozen altogether.")

    def kind(name: str) -> str:
        return name.partition(".")[0]

    rates = {"body": settings.layer_rate, "heads": settings.head_rate, "table": settings.table_rate}
    groups = [
        {"params": [p for n, p in named if kind(n) == k], "lr": rate, "peak": rate, "weight_decay": 0.0}
        for k, rate in rates.items()
    ]
    groups = [group for group in groups if group["params"]]
    for group in groups:
        group["weight_decay"] = settings.decay if group["peak"] == settings.layer_rate else 0.0
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=named[0][1].is_cuda)


def rung_losses(
    student: Student, teacher_vectors: Tensor, rows: Sequence[tuple[Tensor, Tensor]], settings: Settings, *,
    rotation: Tensor | None, special: Tensor, autocast: Any, matching: Matching | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """The loss of each rung on one batch, weighted; rows of all widths are scored against one another.

    ``matching`` is what terms of tokens learn from; None where there are none.
    """
    with autocast:
        parts = [student.read(ids, mask, tokens=matching is not None) for ids, mask in rows]
    found = {k: torch.cat([vectors[k] for vectors, _ in parts]) for k in parts[0][0]}
    bag = None
    if student.table is not None:
        plain = [(ids, mask & ~torch.isin(ids, special)) for ids, mask in rows]
        bag = torch.cat([student.table.bag(ids, mask) for ids, mask in plain])
    made = [(term, term.loss()) for term in settings.terms if not term.of_tokens]
    of_tokens = [(term, term.token_loss()) for term in settings.terms if term.of_tokens]
    losses = {}
    for rung in settings.rungs:
        if rung.depth:
            vectors = found[rung.depth]
        else:
            assert bag is not None and student.table is not None  # noqa: S101, PT018  # rungs were checked
            vectors = student.table.vectors(bag, rung.rank)
        alike = teacher_vectors
        if rung.dim is not None:
            vectors, alike = (_narrowed(x, rung.dim, rotation) for x in (vectors, alike))
        terms = [
            term.weight * loss(vectors, teacher_vectors, alike)
            for term, loss in made
            if term.is_for(rung.depth, rung.dim)
        ]
        wanted = [(term, loss) for term, loss in of_tokens if term.is_for(rung.depth, rung.dim)]
        if wanted and matching is not None:
            tokens = [_narrowed(tokens[rung.depth], rung.dim, rotation) for _, tokens in parts]
            terms += [term.weight * loss(*matching.sides(tokens), matching.scores) for term, loss in wanted]
        losses[f"L{rung.depth}-d{rung.dim or 'all'}-r{rung.rank or 'all'}"] = rung.weight * sum(terms[1:], terms[0])
    return losses


def _narrowed(x: Tensor, dim: int | None, rotation: Tensor | None) -> Tensor:
    """Leading dimensions of vectors ``[..., d]``, after the rotation."""
    return x if dim is None else (x if rotation is None else x @ rotation)[..., :dim]


def distill(  # noqa: PLR0913  # four parts that any run has, and five that one may leave out
    teacher: Teacher, student: Student, source: Source, settings: Settings, *,
    rotation: Tensor | None = None, special: Sequence[int] = (), progress: Progress | None = None,
    made: Any = None, report: Report | None = None,
) -> Progress:  # fmt: skip
    """Train ``student`` in place until the steps or the seconds are used up.

    Args:
        teacher: frozen; reads the same rows.
        student: learns.
        source: of batches.
        settings: what to learn, and how fast.
        rotation: ``[d, d]``, put before the leading dimensions of a rung are taken.
        special: ids of tokens that the table does not count.
        progress: where to go on from.
        made: the optimiser, with the state to go on with; a new one if None.
        report: called as the settings say and at the end, with the mean losses since the last call.

    Raises:
        InputError: a rung has a depth that the student has not, or no term is for it.
        NotFiniteError: the loss is NaN or infinite.
    """
    _check_rungs(student, settings)
    made = made if made is not None else optimiser(student, settings)
    progress = progress or Progress()
    begun = time.monotonic() - progress.seconds
    ids_of_special = torch.tensor(sorted(special), device=teacher.device, dtype=torch.long)
    sums: dict[str, Tensor] = {}
    since, reported = 0, time.monotonic()
    # Dropout stays off: the teacher says exactly what a row should give, and a few passes over texts overfit nothing.
    student.eval()
    with ThreadPoolExecutor(1) as ahead:
        number = progress.step * settings.accumulate
        waiting = [ahead.submit(source.batch, number + i) for i in range(4)]
        number += 4
        while progress.step < settings.steps and progress.seconds < settings.seconds:
            _set_rates(made, settings, progress)
            for _ in range(settings.accumulate):
                batch = waiting.pop(0).result()
                waiting.append(ahead.submit(source.batch, number))
                number += 1
                short, long = ([to_device(part, teacher.device) for part in by_length(x, _PARTS)] for x in batch)
                rows = [*short, *long]
                seen = [teacher.read(ids, mask) for ids, mask in rows]
                matching = None
                if settings.of_tokens:
                    states = [tokens for _, tokens in seen]
                    matching = Matching.of(states, rows, asking=len(short), special=ids_of_special)
                losses = rung_losses(
                    student, torch.cat([vectors for vectors, _ in seen]), rows, settings, rotation=rotation,
                    special=ids_of_special, autocast=teacher.autocast(), matching=matching,
                )  # fmt: skip
                (sum(losses.values()) / settings.accumulate).backward()
                for name, loss in losses.items():
                    sums[name] = sums.get(name, 0) + loss.detach()
                since += 1
            torch.nn.utils.clip_grad_norm_([p for g in made.param_groups for p in g["params"]], 1.0)
            made.step()
            made.zero_grad(set_to_none=True)
            progress.step += 1
            progress.seconds = time.monotonic() - begun
            ended = progress.step >= settings.steps or progress.seconds >= settings.seconds
            due = ended or time.monotonic() - reported >= settings.report_every
            due = due or (settings.report_steps > 0 and progress.step % settings.report_steps == 0)
            if report is not None and due:
                means = {name: float(value) / since for name, value in sums.items()}
                _check_finite(means, progress)
                report(progress, means)
                sums, since, reported = {}, 0, time.monotonic()
                progress.seconds = time.monotonic() - begun
        for future in waiting:
            future.cancel()
    return progress


def rate_at(done: float, warm_up: float) -> float:
    """Part of the peak rate at ``done`` of the run, both in [0, 1]: a line up, then half a cosine down to 0.01.

    Source: Loshchilov and Hutter 2017, eq. 5 (arXiv:1608.03983).
    """
    if done < warm_up:
        return max(done, 0.001) / warm_up
    rest = min(1.0, (done - warm_up) / max(1e-9, 1 - warm_up))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest))


def _set_rates(made: Any, settings: Settings, progress: Progress) -> None:
    done = max(progress.step / settings.steps, progress.seconds / settings.seconds)
    for group in made.param_groups:
        group["lr"] = group["peak"] * rate_at(done, settings.warm_up)


def _check_rungs(student: Student, settings: Settings) -> None:
    for rung in settings.rungs:
        if rung.depth not in student.depths and not (rung.depth == 0 and student.table is not None):
            raise InputError(f"a rung must be one that the student has, got depth {rung.depth} of {student.depths}.")
        if not any(term.is_for(rung.depth, rung.dim) for term in settings.terms):
            raise InputError(f"a rung must have a term to learn from, got none of {settings.terms} for {rung}.")


def _check_finite(means: dict[str, float], progress: Progress) -> None:
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise NotFiniteError(
            f"losses must be finite, got NaN or infinity for {', '.join(bad)} by step {progress.step}. "
            "Lower the learning rates."
        )
