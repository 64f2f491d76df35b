"""``fit``: a model and plain texts in, a ladder out, with what every rung gained on texts that were held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, final

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Array, Matrix
from nestvec.encoders import backbone, checkpoint
from nestvec.encoders.ladder import Ladder
from nestvec.encoders.ladder import Rung as LadderRung
from nestvec.encoders.tokens import Tokens
from nestvec.kernels.cpu import cpu_features
from nestvec.training.assembly import Whole, student_tensors, table_tensors, whole_tensors
from nestvec.training.closed_form import choose_leading, fit_binariser
from nestvec.training.corpus import Corpus
from nestvec.training.distill import Progress, Rung, Settings, distill, optimiser
from nestvec.training.monitor import Course, row_of
from nestvec.training.opening import Opening
from nestvec.training.proxies import Kept, Proxy
from nestvec.training.sampling import Recipe, Rows, Sampler, Special
from nestvec.training.saving import load_run, save_run
from nestvec.training.starting import Heads, closed_heads, first_table, make_student, special_of
from nestvec.training.student import Student
from nestvec.training.teacher import Teacher, encode_corpus, nearest, norm_of, to_device
from nestvec.training.terms import STARBUCKS, Term

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

Say = Callable[[str], None]
_WORTH = 0.01  # of the ten nearest neighbours that a rung must keep above what costs less, or it is not worth having


@dataclass(frozen=True)
class Plan:
    """What a ladder is to have, and what may be spent on it.

    Args:
        depths: rungs below the full model, each at least 1; layers up to the deepest are trained together.
        dims: leading dimensions that are trained as well, and measured.
        rank: of the adapters in the layers.
        table_ranks: widths of the token table for depth 0, each trained as a prefix of the next; the last one is
            kept. None of them for a ladder without depth 0.
        steps: of training; 0 for closed forms only, which takes seconds to minutes.
        seconds: stop by then.
        batch_tokens: tokens in a batch of long texts, padding included.
        accumulate: batches in a step, for a machine without the memory for one large batch.
        spare_memory: compute states again on the way back instead of keeping them; a third slower.
        clusters: of a query and of a document, as in ``(4, 8)``, to learn late interaction through as well (CRISP), so
            that a rung is of use with a few vectors a text (``L3-v8``); None for one vector a text only.
        neighbours: mined for each text.
        held_out: texts that are measured on and never learnt from; at most a fifth.
        window: tokens of a text that are read; the model's own limit where that is less.
        terms: what every rung learns from; regularisers such as ``representation-rank@1`` go beside the usual ones.
        report_steps: steps between two looks at the held-out texts, beside one every minute; 0 for those only.
        seed: of everything drawn.

    Raises:
        InputError: there is no rung at all, or a number is out of range.
    """

    depths: tuple[int, ...] = (1, 2, 3)
    dims: tuple[int, ...] = (64, 128)
    rank: int = 64
    table_ranks: tuple[int, ...] = (32, 96)
    steps: int = 1500
    seconds: float = math.inf
    batch_tokens: int = 4096
    accumulate: int = 1
    spare_memory: bool = False
    clusters: tuple[int, int] | None = None
    neighbours: int = 24
    held_out: int = 2000
    window: int = 256
    terms: tuple[Term, ...] = STARBUCKS
    report_steps: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.depths and not self.table_ranks:
            raise InputError("a ladder must have a rung: name depths, or ranks of a token table for depth 0.")
        least = min((*self.depths, *self.dims, *self.table_ranks), default=1)
        if min(self.steps, self.report_steps) < 0 or self.rank < 1 or least < 1:
            raise InputError(f"depths, dims and ranks must be at least 1 and steps at least 0, got {self}.")
        self.loss  # noqa: B018  # says now if there can be no such clusters

    @property
    def loss(self) -> tuple[Term, ...]:
        """What the loss of a rung is made of: the terms, and that of the clusters where some are asked for."""
        if self.clusters is None:
            return self.terms
        return (*self.terms, Term("crisp@1", rungs="full", options={"clusters": self.clusters}))

    @property
    def said(self) -> dict[str, Any]:
        """What decides the outcome, as plain data, without what was not there when older runs were begun."""
        said = {**asdict(self), "seconds": str(self.seconds)}
        del said["report_steps"]  # how often one looks changes nothing that is learnt
        if self.clusters is None:
            del said["clusters"]
        if self.terms == STARBUCKS:
            del said["terms"]
        return said


@final
@dataclass(frozen=True, eq=False)
class Fitted:
    """A ladder, and how it was found.

    Args:
        ladder: ready to save.
        kept: ``{"raw" | "closed" | "distilled": {size: Kept}}`` on held-out texts.
        course: what was seen during training; without any, the closed form alone.
    """

    ladder: Ladder = field(repr=False)
    kept: Mapping[str, Mapping[str, Kept]]
    course: Course

    def lines(self) -> list[str]:
        """One line a rung: neighbours kept by the raw slice, the closed form, after training; and whether it pays."""
        last = list(self.kept)[-1]
        found = []
        cheaper: list[tuple[str, float]] = []
        for name, kept in sorted(
            self.kept[last].items(), key=lambda item: (int(item[0][1:].split("-")[0]), -len(item[0]))
        ):
            stages = ", ".join(
                f"{stage} {self.kept[stage][name].neighbours:.3f}" for stage in self.kept if name in self.kept[stage]
            )
            as_good = [other for other, value in cheaper if value > kept.neighbours - _WORTH]
            verdict = f"not worth having: {as_good[0]} keeps as much" if as_good else "worth having"
            found.append(f"{name}: keeps of the ten nearest texts: {stages} (order {kept.order:.3f}); {verdict}.")
            if "-" not in name:
                cheaper.append((name, kept.neighbours))
        return found


def fit(
    source: str | Path, texts: Iterable[tuple[str, str]], *, plan: Plan | None = None, device: str = "auto",
    folder: Path | None = None, say: Say = lambda _: None, licences: Sequence[str] = (),
) -> Fitted:  # fmt: skip
    """Fit a ladder for a model to texts, without labels.

    Args:
        source: ``default``, a model folder, or a hub id.
        texts: ``(title, text)`` pairs; titles may be empty.
        plan: what to make and what to spend.
        device: ``auto``, ``cpu``, ``cuda`` …
        folder: for files to go on from after a stop; the same call then continues. None keeps none.
        say: called with a line for people at every stage.
        licences: of the texts, kept in the ladder.

    Raises:
        InputError: too few texts, texts that are all equal, a depth that the model has not, or a run in ``folder``
            that was begun with another plan.
        NotFiniteError: the loss became NaN.
    """
    plan = plan or Plan()
    where = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(plan.seed)
    return _Fit(source, texts, plan=plan, device=where, say=say).run(folder, tuple(licences))


class _Fit:
    """The stages of one call of :func:`fit`, and what they share."""

    def __init__(
        self, source: str | Path, texts: Iterable[tuple[str, str]], *, plan: Plan, device: str, say: Say
    ) -> None:
        self.plan, self.say = plan, say
        self.found = checkpoint.find(source)
        stack = backbone.open_stack(self.found.folder, device=device)
        self.dim = stack.dim
        if plan.clusters is not None and stack.pooling != "mean":
            raise InputError(
                f"clusters must be of a model that takes the mean of its tokens, got {stack.pooling} pooling in "
                f"{self.found.name}: its heads map no tokens. Leave clusters out."
            )
        opening = Opening.of(stack)
        self.window = min(plan.window, stack.limits[0] - len(opening))
        self.tokens = Tokens.of(stack.tokenizer)
        self.special: Special = special_of(self.tokens, stack.tokenizer)
        self.teacher = Teacher.of(
            stack.modules, device=device, narrow=_narrow(device), norm=norm_of(stack), opening=opening
        )
        layers = int(self.teacher.body.config.num_hidden_layers)
        if plan.depths and max(plan.depths) >= layers:
            raise InputError(f"depths must be below the model's {layers} layers, got {plan.depths}.")
        whole = Corpus.of(texts, tokenizer=self.tokens.whole, least=3)
        self.corpus, self.held = whole.split(plan.held_out, seed=plan.seed)
        self.say(f"{len(self.corpus)} texts to learn from, {len(self.held)} held out")

    def run(self, folder: Path | None, licences: tuple[str, ...]) -> Fitted:
        plan = self.plan
        batch = plan.batch_tokens
        vectors = encode_corpus(self.teacher, self.corpus, self.special, width=self.window, tokens=batch)
        leading = choose_leading(vectors, dims=tuple(d for d in plan.dims if d < self.dim) or (self.dim,))
        self.rotation = leading.rotation
        self.say("leading dimensions: " + ", ".join(f"{name} keeps {kept:.3f}" for name, kept in leading.kept.items()))
        heads: Heads = {}
        if plan.depths:
            heads = closed_heads(
                self.teacher, self.corpus, self.special, plan.depths, width=self.window, tokens=batch, most=40000
            )  # fmt: skip
        table = first_table(self.teacher, self.corpus, self.special, rank=self._rank) if plan.table_ranks else None
        student = make_student(self.teacher, heads, table, rank=plan.rank)
        proxy = Proxy.of(self.held, lambda rows: {"full": self._full(rows)}, self.special, width=self.window)
        kept = {"raw": proxy.measure(self._raw), "closed": proxy.measure(lambda rows: self._sizes(student, rows))}
        seen = Progress(curve=[_row(0, kept["closed"])])
        if plan.steps:
            neighbours = nearest(vectors, k=plan.neighbours, device=self.teacher.device)
            seen = self._train(student, neighbours, proxy, folder, seen)
            kept["distilled"] = proxy.measure(lambda rows: self._sizes(student, rows))
        return Fitted(self._ladder(student, vectors, kept, licences), kept, Course(tuple(seen.curve), proxy.geometry))

    @property
    def _rank(self) -> int:
        return min(max(self.plan.table_ranks), self.dim)

    def _train(
        self, student: Student, neighbours: Array, proxy: Proxy, folder: Path | None, begin: Progress
    ) -> Progress:
        plan = self.plan
        if plan.spare_memory and student.body is not None:
            enable = getattr(student.body, "activation_checkpointing_enable", None)  # its name from transformers 5 on
            (enable or student.body.gradient_checkpointing_enable)()
        settings = Settings(
            self._rungs(), steps=plan.steps, seconds=plan.seconds, accumulate=plan.accumulate, terms=plan.loss,
            report_steps=plan.report_steps,
        )  # fmt: skip
        recipe = Recipe(
            tokens=plan.batch_tokens, caps=tuple(sorted({min(cap, self.window) for cap in Recipe().caps})),
            short=min(Recipe().short, self.window),
        )  # fmt: skip
        source = Sampler(self.corpus, neighbours, self.special, recipe, seed=plan.seed)
        made = optimiser(student, settings)
        said = plan.said
        progress = load_run(folder, student, made, said) if folder is not None else None
        if progress is not None:
            self.say(f"going on from step {progress.step}")

        def report(now: Progress, losses: dict[str, float]) -> None:
            kept = proxy.measure(lambda rows: self._sizes(student, rows))
            now.curve.append(_row(now.step, kept))
            figures = ", ".join(f"{name} {k.neighbours:.3f}" for name, k in kept.items())
            ranks = ", ".join(f"{name} {k.geometry.rank:.1f}" for name, k in kept.items() if "-" not in name)
            self.say(f"step {now.step}, loss {sum(losses.values()):.3f}; kept: {figures}; rank: {ranks}")
            if folder is not None:
                save_run(folder, student, made, now, said)

        return distill(
            self.teacher, student, source, settings, rotation=self._rotation_tensor(), special=self._specials(),
            progress=progress or begin, made=made, report=report,
        )  # fmt: skip

    def _rungs(self) -> tuple[Rung, ...]:
        """Every depth at full width and at the narrower ones, every rank of the table; all in every step."""
        plan = self.plan
        narrow = [d for d in plan.dims if d < self.dim]
        rungs = [Rung(k) for k in plan.depths]
        rungs += [Rung(k, dim=d, weight=0.15) for k in plan.depths for d in narrow]
        ranks = sorted({min(r, self._rank) for r in plan.table_ranks})
        return (*rungs, *(Rung(0, rank=None if r == self._rank else r, weight=1 / len(ranks)) for r in ranks))

    def _ladder(
        self, student: Student, vectors: Matrix, kept: Mapping[str, Mapping[str, Kept]], licences: tuple[str, ...]
    ) -> Ladder:
        plan = self.plan
        trained = bool(plan.steps)
        base = self.teacher.body
        tensors = student_tensors(student, base)
        if not trained:
            tensors = {name: x for name, x in tensors.items() if name.startswith("head.")}
        if student.table is not None:
            tensors |= table_tensors(student.table)
        centre, binary = fit_binariser(vectors, seed=plan.seed)
        tensors |= whole_tensors(Whole(self.rotation, centre, binary))
        last = list(kept)[-1]
        narrow = tuple(d for d in sorted(plan.dims, reverse=True) if d < self.dim)
        depths = (*((0,) if student.table is not None else ()), *sorted(student.depths))
        rungs = tuple(
            LadderRung(
                k, (self.dim, *(narrow if k else ())),  # a token table learns its full width only
                "distilled" if trained else "closed", _figures(kept[last][f"L{k}"]),
            )
            for k in depths
        )  # fmt: skip
        return Ladder(
            base=self.found.fingerprint, name=self.found.name, tokenizer=self.found.tokenizer, dim=self.dim,
            rungs=rungs, tensors=tensors, recipe=self._recipe(), licences=licences,
        )  # fmt: skip

    def _recipe(self) -> dict[str, Any]:
        plan = asdict(replace(self.plan, seconds=self.plan.seconds if math.isfinite(self.plan.seconds) else 0.0))
        return {
            **{name: list(value) if isinstance(value, tuple) else value for name, value in plan.items()},
            "texts": len(self.corpus), "tokens": len(self.corpus.ids), "device": self.teacher.device,
        }  # fmt: skip

    # ------------------------------------------------------------------ vectors of rows, for measuring

    def _full(self, rows: Rows) -> Matrix:
        found: Matrix = self.teacher.vectors(*to_device(rows, self.teacher.device)).cpu().numpy()
        return found

    def _raw(self, rows: Rows) -> Mapping[str, Matrix]:
        ids, mask = to_device(rows, self.teacher.device)
        states, full = self.teacher.states(ids, mask)
        pools = {k: self.teacher.pool(states[k].float(), mask).cpu().numpy() for k in (0, *self.plan.depths)}
        narrow = {f"full-d{d}": full[:, :d].cpu().numpy() for d in self.plan.dims if d < self.dim}
        return {f"L{k}": v for k, v in pools.items() if k or self.plan.table_ranks} | {
            f"L{k}-d{d}": v[:, :d] for k, v in pools.items() for d in self.plan.dims if k and d < self.dim
        } | narrow  # fmt: skip

    def _sizes(self, student: Student, rows: Rows) -> Mapping[str, Matrix]:
        ids, mask = to_device(rows, self.teacher.device)
        with torch.no_grad(), self.teacher.autocast():
            found = {f"L{k}": v.cpu().numpy() for k, v in student(ids, mask).items()}
        for name, vectors in list(found.items()):
            turned = vectors if self.rotation is None else vectors @ self.rotation
            found |= {f"{name}-d{d}": turned[:, :d] for d in self.plan.dims if d < self.dim}
        if student.table is not None:
            with torch.no_grad():
                plain = mask & ~torch.isin(ids, torch.tensor(self._specials(), device=ids.device))
                found["L0"] = student.table.vectors(student.table.bag(ids, plain)).float().cpu().numpy()
        return found

    def _specials(self) -> tuple[int, ...]:
        return (*self.special.first, *self.special.last, self.special.pad)

    def _rotation_tensor(self) -> Any:
        return None if self.rotation is None else torch.from_numpy(self.rotation).to(self.teacher.device)


def _narrow(device: str) -> bool:
    """Whether bfloat16 is the faster way to multiply there; a student does not mind what it rounds off."""
    return device.startswith("cuda") or (device == "cpu" and "amx_bf16" in cpu_features())


def _row(step: int, kept: Mapping[str, Kept]) -> dict[str, float]:
    return row_of(step, {n: k.neighbours for n, k in kept.items()}, {n: k.geometry for n, k in kept.items()})


def _figures(kept: Kept) -> dict[str, float]:
    return {"neighbours": round(kept.neighbours, 4), "order": round(kept.order, 4)}
