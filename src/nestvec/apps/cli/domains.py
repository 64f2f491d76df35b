"""``nestvec domain-gap``: is a model worse on one's own data than the complexity of the data explains?"""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, faint, strong
from nestvec.apps.cli.diagnosing import Seed
from nestvec.apps.cli.errors import Code
from nestvec.apps.cli.evaluating import Data, named
from nestvec.apps.cli.planning import AskedWith, JudgedBy, read_questions
from nestvec.apps.cli.progress import waiting
from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from nestvec.core import Record
    from nestvec.core.protocols import Encoder
    from nestvec.evaluation.domain import DomainGap
    from nestvec.evaluation.kinds.retrieval import Retrieval
    from nestvec.planner.questions import Questions

_JUDGED = ("scifact", "cranfield", "medline", "cosqa_dev")
_TEXTS = (*_JUDGED, "newsgroups")  # of which sentences can be taken
_UNKNOWN = 0.1  # of the judged documents, how many may be missing, as in nestvec plan


def domain_gap(
    source: Annotated[
        str, typer.Argument(metavar="DIR", help="A collection, a BEIR folder, or files as nestvec index reads them.")
    ],
    judgements: JudgedBy = None,
    queries: AskedWith = None,
    against: Annotated[
        str, typer.Option("--against", metavar="NAME,…", help="Other data: tasks or KIND=PATH. Default: what is there.")
    ] = "",
    using: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="The encoder; of a collection, its own by default.")
    ] = "",
    documents: Annotated[int, typer.Option("--documents", metavar="N", min=50, help="Of each set, at most.")] = 1_000,
    questions: Annotated[int, typer.Option("--questions", metavar="N", min=30, help="Of each set, at most.")] = 200,
    margin: Annotated[float, typer.Option("--margin", min=0.001, max=1.0, help="Of nDCG@10: no gap worth it.")] = 0.05,
    data: Data = None,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    seed: Seed = 0,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Ask whether your data needs a model of its own domain.

    Measures the model on your data and on other data, takes away what the complexity of the texts explains, and says
    what is left. Without judgements, sentences of the texts are the questions. Exit code 1: there is a gap.

    Example: nestvec domain-gap my.nest --judgements judged.jsonl
    """
    from nestvec.evaluation.domain import Probing, cloze
    from nestvec.evaluation.domain import domain_gap as measure

    out = Output(as_json=json, quiet=quiet)
    asked = _asked(source, judgements, queries)
    references = _references(against, data, Path(source), questions, judged=asked is not None, seed=seed)
    records, encoder = _source(out, source, using, precision=precision.value, device=device)
    name = Path(source).resolve().name
    own = _judged(records, asked) if asked is not None else cloze(records, questions, seed=seed)
    found = measure(
        encoder, own, references, name=f"{name} (yours)" if name in references else name,
        how=Probing(documents, questions, seed), margin=margin, judged=asked is not None, say=out.note,
    )  # fmt: skip
    out.json(found.to_json())
    _show(out, found)
    if found.verdict == "gap":
        raise typer.Exit(Code.NEGATIVE)


def _source(out: Output, source: str, model: str, **how: Any) -> tuple[list[Record], Encoder]:
    """Whole documents, and the encoder."""
    from nestvec.encoders import load
    from nestvec.inputs import read
    from nestvec.search.collection import Collection

    if (Path(source) / "space.db").is_file():
        with waiting(out, "loading the model"), Collection.open(source, encoder=model or None) as collection:
            if not (model or collection.settings.source):
                raise InputError(
                    f"{source} must have an encoder to ask with, got vectors that were brought along. Name one with "
                    "--model."
                )
            return _whole(collection.records()), collection.encoder
    corpus = next((p for name in ("corpus.jsonl", "corpus.jsonl.gz") if (p := Path(source) / name).is_file()), source)
    records = list(read(str(corpus)))
    with waiting(out, "loading the model"):
        name, size = named(model or "default")
        return records, load(name, size=size, **how)


def _whole(records: Iterable[Record]) -> list[Record]:
    """Documents of a collection, put together from their passages, which may overlap."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.place.parent if record.place else record.id, []).append(record)
    return [replace(parts[0], id=name, content=_joined(parts), place=None) for name, parts in found.items()]


def _joined(parts: Sequence[Record]) -> str:
    text, end = "", 0
    places = [(part.place.start, part.place.end, part.text) if part.place else (0, 0, part.text) for part in parts]
    for start, stop, piece in sorted(places):
        text += piece[end - start :] if start < end else ("\n" if text else "") + piece
        end = max(end, stop)
    return text


def _asked(source: str, judgements: Path | None, queries: Path | None) -> Questions | None:
    """Judged questions: those that were named, or those that lie in a BEIR folder; None where nobody judged."""
    if judgements is None and queries is not None:
        raise InputError("--queries must come with --judgements, got queries that nobody judged.")
    if judgements is None and (Path(source) / "qrels").is_dir():
        judgements = Path(source)
    return read_questions(judgements, queries)


def _judged(records: Sequence[Record], asked: Questions) -> Retrieval:
    from nestvec.evaluation.kinds.retrieval import Retrieval

    gains, known = asked.gains or (), {record.id for record in records}
    judged = {name for one in gains for name, gain in one.items() if gain > 0}
    missing = sorted(judged - known)
    if len(missing) > _UNKNOWN * len(judged):
        raise InputError(
            f"judgements must be of documents that are there, got {len(missing)} of {len(judged)} that are not, such "
            f"as {missing[0]!r}."
        )
    kept = {f"q{i}": {name: gain for name, gain in one.items() if name in known} for i, one in enumerate(gains)}
    kept = {name: one for name, one in kept.items() if one}
    return Retrieval(tuple(records), {name: asked.texts[int(name[1:])] for name in kept}, kept)


def _references(
    against: str, data: Path | None, source: Path, questions: int, *, judged: bool, seed: int
) -> dict[str, Retrieval]:
    """Other data by name: tasks with judgements, or texts to take sentences of."""
    from nestvec.evaluation import TASKS, choose
    from nestvec.evaluation.domain import cloze
    from nestvec.evaluation.kinds.retrieval import Retrieval

    names = [name for name in against.split(",") if name.strip()]
    if not names:
        here = [name for name in (_JUDGED if judged else _TEXTS) if TASKS[name].here(data)]
        names = [name for name in here if data and (data / TASKS[name].path).resolve() != source.resolve()]
    if not names:
        raise InputError(
            "there must be other data to hold yours against, got none. Name some with --against (retrieval=FOLDER), or "
            "the folder of data sets with --data; see: nestvec tasks."
        )
    usable = ("retrieval@1",) if judged else ("retrieval@1", "clustering@1")
    found: dict[str, Retrieval] = {}
    for task in choose(names):
        if task.kind not in usable:
            raise InputError(f"--against takes {' and '.join(usable)}, got {task.name}, which is {task.kind}.")
        kind: Any = task.load(data)
        if judged:
            found[task.name] = kind
        else:
            records = kind.documents if isinstance(kind, Retrieval) else _numbered(kind.texts)
            found[task.name] = cloze(records, questions, seed=seed)
    return found


def _numbered(texts: Sequence[str]) -> list[Record]:
    from nestvec.core import Record

    return [Record(str(number), text) for number, text in enumerate(texts)]


def _show(out: Output, found: DomainGap) -> None:
    from nestvec.evaluation.domain import MEASURES
    from nestvec.evaluation.domain.words import sentences
    from nestvec.metrics import bootstrap_mean

    who = "judged by people" if found.judged else "sentences taken out of their documents"
    out.line(strong(found.own.name), f"  among {found.own.documents:,} documents of each set; questions: {who}")
    width = max(len(one.name) for one in (found.own, *found.references))
    out.line(
        faint(f"  {'':{width}}  {'questions':>9}  {'nDCG@10':>7}  {'95 %':13}  {'BM25':>5}  {'tokens a word':>13}")
    )
    for one in (found.own, *found.references):
        got = bootstrap_mean(one.model)
        out.line(
            f"  {one.name:{width}}  {len(one):9,}  {got.mean:7.3f}  {got.low:.3f} - {got.high:.3f}  "
            f"{one.by_words.mean():5.3f}  {one.tokens:13.1f}"
        )
    for name, reason in found.left_out:
        out.line(faint(f"  {name} was left out: {reason}"))
    out.line("")
    out.line(strong("complexity"), "  means over the questions, and what one standard deviation more does to nDCG@10")
    out.line(faint(f"  {'':15}  {'yours':>6}  {'others':>6}  {'effect':>6}"))
    others = sum(one.measures.mean(axis=0) for one in found.references) / len(found.references)
    rows = zip(MEASURES.items(), found.own.measures.mean(axis=0), others, found.gap.slopes, strict=True)
    for (name, meaning), mine, theirs, slope in rows:
        out.line(f"  {name:15}  {mine:6.2f}  {theirs:6.2f}  {slope:+6.2f}", faint(f"  {meaning}"))
    first, *rest = sentences(found)
    out.line("")
    out.block(strong(first))
    for text in rest:
        out.line("")
        out.block(text)
