"""Train the ladder that nestvec ships, on a machine with or without a GPU.

``python -m benchmarks._fit_ladder --model FOLDER --texts FILE --out FOLDER --seconds 540``

Prints what each rung keeps of the full model on held-out texts, as it is now: raw slice, closed form, and once a
minute while it learns. Files in the output folder: ``body.safetensors``, ``table.safetensors`` (what was learnt, in
float16), ``curve.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nestvec.core.types import Matrix
from nestvec.encoders import backbone
from nestvec.encoders.tokens import Tokens
from nestvec.kernels.cpu import cpu_features
from nestvec.training.closed_form import Ridge, choose_leading, fit_binariser, fit_table
from nestvec.training.corpus import Corpus, read_texts
from nestvec.training.distill import Progress, Rung, Settings, distill
from nestvec.training.proxies import Kept, Proxy
from nestvec.training.sampling import Recipe, Rows, Sampler, windows
from nestvec.training.saving import save_student
from nestvec.training.starting import special_of
from nestvec.training.student import Student, TokenTable, add_low_rank, cut
from nestvec.training.teacher import Teacher, encode_corpus, in_order, nearest, to_device
from nestvec.training.terms import Term

NARROW = {1: (64, 128), 3: (64, 128)}  # dims that a depth is trained for beside the full one
BEGUN = time.monotonic()


def main() -> None:
    """Read the arguments, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="of the whole program, set-up included")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--adapter", default="full", help="full, or low-rank:R")
    parser.add_argument("--start", type=Path, help="folder of an earlier run to go on from")
    parser.add_argument("--ranks", default="64,96,128,192", help="of the token table, each trained as a prefix")
    parser.add_argument("--depths", default="1,2,3")
    parser.add_argument("--most-texts", type=int, default=10**9)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: fields of Settings")
    parser.add_argument("--recipe", type=json.loads, default={}, help="JSON: fields of Recipe")
    parser.add_argument("--seed", type=int, default=0)
    Run(parser.parse_args()).go()


class Run:
    """One run of this program."""

    def __init__(self, asked: Any) -> None:
        self.asked = asked
        self.device: str = asked.device
        torch.manual_seed(asked.seed)
        stack = backbone.open_stack(asked.model, device=self.device)
        on_gpu = self.device.startswith("cuda")
        narrow = on_gpu or "amx_bf16" in cpu_features()
        if on_gpu:
            torch.set_float32_matmul_precision("high")
        self.teacher = Teacher.of(stack.modules, device=self.device, narrow=narrow)
        self.tokens = Tokens.of(stack.tokenizer)
        self.special = special_of(self.tokens, stack.tokenizer)
        self.dim = stack.dim
        self.budget = 131072 if on_gpu else 4096
        self.depths = tuple(int(k) for k in asked.depths.split(","))
        self.ranks = tuple(int(r) for r in asked.ranks.split(","))
        say(f"model ready on {self.device}, torch {torch.__version__}")
        corpus = Corpus.of(read_texts(asked.texts), tokenizer=self.tokens.whole, least=3)
        if len(corpus) > asked.most_texts:
            corpus = corpus.subset(np.random.default_rng(1).permutation(len(corpus))[: asked.most_texts])
        self.corpus, self.held = corpus.split(6000, seed=0)
        say(f"{len(corpus)} texts, {len(corpus.ids)} tokens; held out {len(self.held)}")

    def go(self) -> None:
        """Set up, train, save."""
        vectors = encode_corpus(self.teacher, self.corpus, self.special, width=256, tokens=self.budget)
        say("full vectors of all texts")
        neighbours = nearest(vectors, k=24, device=self.device)
        say("neighbours mined")
        leading = choose_leading(vectors[:: max(1, len(vectors) // 20000)], dims=(64, 128), seed=0)
        say(f"leading dimensions: {leading.kept}")
        rotation = None if leading.rotation is None else torch.from_numpy(leading.rotation).to(self.device)
        self.save_whole(vectors, leading.rotation)
        student = self.student()
        self.proxy = Proxy.of(self.held, lambda rows: {"full": self.full(rows)}, self.special)
        self.tell("raw", self.proxy.measure(self.raw))
        self.tell("closed", self.proxy.measure(lambda rows: self.sizes(student, rows)))
        if self.asked.start:
            say(f"going on from {self.asked.start}: {len(start_from(self.asked.start, student))} tensors")
            self.tell("start", self.proxy.measure(lambda rows: self.sizes(student, rows)))
        self.curve: list[dict[str, Any]] = []
        left = self.asked.seconds - (time.monotonic() - BEGUN) - 12
        settings = self.settings(left, rotation is not None)
        recipe = Recipe(**{"tokens": 65536 if self.device.startswith("cuda") else 4096, **self.asked.recipe})
        say(f"training for {left:.0f} s: {asdict(settings)}; {asdict(recipe)}")
        sampler = Sampler(self.corpus, neighbours, self.special, recipe, seed=self.asked.seed)
        specials = {*self.special.first, *self.special.last, self.special.pad}
        distill(
            self.teacher, student, sampler, settings, rotation=rotation, special=tuple(specials),
            report=lambda progress, losses: self.report(student, progress, losses),
        )  # fmt: skip
        say("done")

    def save_whole(self, vectors: Matrix, rotation: Matrix | None) -> None:
        """Rotation and binariser, which need the vectors of all texts."""
        from safetensors.numpy import save_file

        centre, binary = fit_binariser(vectors)
        found = {"binariser.centre": centre, "binariser.rotation": binary}
        self.asked.out.mkdir(parents=True, exist_ok=True)
        save_file(found if rotation is None else {**found, "rotation": rotation}, self.asked.out / "whole.safetensors")

    def student(self) -> Student:
        """The student with closed forms for a start."""
        width = int(self.teacher.body.config.hidden_size)
        ridges = {k: Ridge(width, self.dim) for k in self.depths}
        batches = list(in_order(self.corpus, width=256, tokens=self.budget))
        rng = np.random.default_rng(0)
        seen = 0
        for i in rng.permutation(len(batches)):
            ids, mask = to_device(windows(self.corpus, self.special, width=256, rows=batches[i]), self.device)
            states, full = self.teacher.states(ids, mask)
            for k, ridge in ridges.items():
                ridge.add(self.teacher.pool(states[k].float(), mask).cpu().numpy(), full.cpu().numpy())
            seen += len(ids)
            if seen > 40000:
                break
        table = self.table()
        body = cut(self.teacher.body, max(self.depths)).requires_grad_(True)
        for name, parameter in body.named_parameters():
            parameter.requires_grad_("embeddings" not in name and "pooler" not in name)
        kind, _, rank = self.asked.adapter.partition(":")
        if kind == "low-rank":
            add_low_rank(body, int(rank))
            for name, parameter in body.named_parameters():  # vectors cost nothing to store
                if parameter.ndim == 1 and "embeddings" not in name and "pooler" not in name:
                    parameter.requires_grad_(True)
        student = Student(body, self.teacher.pool, self.depths, width=width, dim=self.dim, table=table)
        student.to(self.device)
        with torch.no_grad():
            for k, ridge in ridges.items():
                weight, bias = ridge.solve()
                student.heads[str(k)].weight.copy_(torch.from_numpy(weight))
                student.heads[str(k)].bias.copy_(torch.from_numpy(bias))
        learnt = sum(p.numel() for p in student.parameters() if p.requires_grad)
        say(f"closed forms from {seen} texts; trainable {learnt}")
        return student

    def table(self) -> TokenTable:
        """The token table from one pass of the vocabulary."""
        vocabulary = int(self.teacher.body.config.vocab_size)
        first, last = self.special.first, self.special.last
        ids = np.array([[*first, t, *last] for t in range(vocabulary)], np.int64)
        parts = [
            self.teacher.vectors(*to_device(Rows(ids[i : i + 2048], ids[i : i + 2048] >= 0), self.device)).cpu().numpy()
            for i in range(0, vocabulary, 2048)
        ]
        counts = self.corpus.frequencies(vocabulary)
        codes, projection, weights = fit_table(np.concatenate(parts), counts, rank=max(self.ranks))
        return TokenTable(
            torch.from_numpy(codes), torch.from_numpy(projection), torch.zeros(self.dim),
            torch.from_numpy(np.log(weights)),
        )  # fmt: skip

    def settings(self, seconds: float, rotated: bool) -> Settings:
        """All rungs at full width, the deepest and the first at two smaller ones, and every rank of the table."""
        rungs = [Rung(k, weight={1: 1.0, 2: 0.6}.get(k, 1.0)) for k in self.depths]
        if rotated:
            rungs += [Rung(k, dim=d, weight=0.15) for k, dims in NARROW.items() if k in self.depths for d in dims]
        rungs += [Rung(0, rank=None if r == max(self.ranks) else r, weight=0.5) for r in self.ranks]
        # So many steps that only the clock ends a timed run.
        given = {"steps": 10**9, "seconds": seconds, **self.asked.settings}
        if "terms" in given:
            given["terms"] = tuple(Term(**term) for term in given["terms"])
        return replace(Settings(tuple(rungs)), **given)

    def full(self, rows: Rows) -> Matrix:
        found: Matrix = self.teacher.vectors(*to_device(rows, self.device)).cpu().numpy()
        return found

    def raw(self, rows: Rows) -> Mapping[str, Matrix]:
        ids, mask = to_device(rows, self.device)
        states, _ = self.teacher.states(ids, mask)
        return {f"L{k}": self.teacher.pool(states[k].float(), mask).cpu().numpy() for k in (0, *self.depths)}

    def sizes(self, student: Student, rows: Rows) -> Mapping[str, Matrix]:
        ids, mask = to_device(rows, self.device)
        specials = torch.tensor([*self.special.first, *self.special.last, self.special.pad], device=self.device)
        with torch.no_grad(), self.teacher.autocast():
            found = {f"L{k}": v.cpu().numpy() for k, v in student(ids, mask).items()}
        if student.table is not None:
            with torch.no_grad():
                bag = student.table.bag(ids, mask & ~torch.isin(ids, specials))
                for r in self.ranks:
                    found[f"L0-r{r}"] = student.table.vectors(bag, r).float().cpu().numpy()
        return found

    def report(self, student: Student, progress: Progress, losses: dict[str, float]) -> None:
        """Measure, print, save."""
        kept = self.proxy.measure(lambda rows: self.sizes(student, rows))
        say(f"step {progress.step}: " + " ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))
        self.tell(f"step {progress.step}", kept)
        self.curve.append(
            {"step": progress.step, "seconds": progress.seconds, "losses": losses}
            | {"kept": {name: asdict(k) for name, k in kept.items()}}
        )
        save_student(self.asked.out, student)
        arguments = {name: str(value) for name, value in vars(self.asked).items()}
        said = json.dumps({"arguments": arguments, "curve": self.curve}, indent=1)
        (self.asked.out / "curve.json").write_text(said, encoding="utf-8")

    def tell(self, when: str, kept: Mapping[str, Kept]) -> None:
        """One line a size."""
        said = [f"{name} nn {k.neighbours:.3f} rho {k.order:.3f} cos {k.cosine or 0:.3f}" for name, k in kept.items()]
        say(f"{when}: " + " | ".join(said))


def start_from(folder: Path, student: Student) -> list[str]:
    """Load an earlier run; full layers go into adapters of low rank by singular values, as near as they come."""
    from safetensors.torch import load_file

    earlier = load_file(folder / "body.safetensors")
    places = dict(student.named_parameters())
    taken: dict[str, torch.Tensor] = {}
    for name, tensor in earlier.items():
        if name in places and places[name].shape == tensor.shape and places[name].requires_grad:
            taken[name] = tensor.float()
            continue
        stem, _, last = name.rpartition(".")
        if f"{stem}.exact.{last}" not in places:
            continue
        exact = places[f"{stem}.exact.{last}"]
        if last == "bias":
            taken[f"{stem}.exact.bias"] = tensor.float()
            continue
        u, s, v = torch.linalg.svd(tensor.float().to(exact.device) - exact.detach(), full_matrices=False)
        rank = len(places[f"{stem}.down"])
        say(f"{stem}: rank {rank} keeps {float((s[:rank] ** 2).sum() / (s**2).sum()):.3f} of the change")
        taken[f"{stem}.up"] = u[:, :rank] * s[:rank].sqrt()
        taken[f"{stem}.down"] = s[:rank].sqrt()[:, None] * v[:rank]
    with torch.no_grad():
        for name, tensor in taken.items():
            places[name].copy_(tensor)
    if (folder / "table.safetensors").is_file():
        table = load_file(folder / "table.safetensors")
        with torch.no_grad():
            for name, tensor in table.items():
                place = places[name]
                part = tensor[:, : place.shape[1]] if name.endswith("codes") else tensor[: place.shape[0]]
                place.copy_(part)
        taken |= table
    return list(taken)


def say(text: str) -> None:
    """Print with the seconds since the start."""
    print(f"[{time.monotonic() - BEGUN:6.1f}] {text}", flush=True)


if __name__ == "__main__":
    main()
