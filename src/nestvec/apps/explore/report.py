"""Everything known of a collection on one page: how it answers, what sizes keep, what its vectors are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nestvec.apps.explore import planned
from nestvec.apps.explore.page import Table, heading, page, paragraph, section
from nestvec.apps.explore.quality import Answered, Quality
from nestvec.core.size import Size
from nestvec.core.types import JSON
from nestvec.metrics import Interval
from nestvec.planner.result import Plan, Row
from nestvec.planner.words import amount, percent

_EXACT = 32  # bits


@runtime_checkable
class Finding(Protocol):
    """One diagnostic, as nestvec.evaluation.diagnostics gives it."""

    title: str
    figures: Sequence[object]
    basis: str
    usual: str
    meaning: str
    advice: str


@dataclass(frozen=True, eq=False)
class Contents:
    """What a report is made of; None for what there is not.

    Args:
        name: of the collection.
        info: as :meth:`Collection.info` gives it.
        documents: how many there are; a document may be several records.
        answered: by judgements.
        plan: of sizes.
        findings: of diagnostics.
        skipped: names of diagnostics that could not be made, and why.
        absent: for a section that is missing, why.
    """

    name: str
    info: Mapping[str, JSON]
    documents: int
    answered: Answered | None = None
    plan: Plan | None = None
    findings: Sequence[Finding] = ()
    skipped: Sequence[tuple[str, str]] = ()
    absent: Mapping[str, str] | None = None


def report(contents: Contents) -> str:
    """The page, with nothing in it that is loaded from elsewhere."""
    why = contents.absent or {}
    parts = [section("The collection", _collection(contents))]
    if contents.answered is not None:
        parts.append(section("How well it answers", _quality(contents.answered)))
    else:
        parts.append(section("How well it answers", paragraph(why.get("answered", "Nobody asked."), "soft")))
    if contents.plan is not None:
        parts.append(section("What smaller sizes keep", _sizes(contents.plan)))
        parts.append(section("The plan", paragraph(planned.under(contents.plan), "soft"), planned.body(contents.plan)))
    else:
        parts.append(section("The plan", paragraph(why.get("plan", "Nobody asked."), "soft")))
    parts.append(section("What its vectors are like", _findings(contents, why.get("findings", ""))))
    under = f"{contents.documents:,} documents, version {contents.info['version']}"
    return page(contents.name, under, parts)


def _collection(contents: Contents) -> str:
    info = contents.info
    space = info["space"] if isinstance(info["space"], dict) else {}
    rows = [
        ("records", f"{info['records']:,}"),
        ("documents", f"{contents.documents:,}"),
        ("disk", amount(_count(info["bytes"]))),
        ("vectors on disk", amount(_count(info["vector_bytes"]))),
        ("encoder", str(space.get("encoder", ""))),
        ("dimensions", str(space.get("dim", ""))),
        ("size", str(info.get("size", "full"))),
        ("passages", f"up to {info['passage_tokens']} tokens" if info["passage_tokens"] else "records are not split"),
        ("graph", "yes" if info.get("graph") else "none"),
        ("fingerprint", str(info["fingerprint"])),
    ]
    return Table(("", ""), rows, text=frozenset({1})).html()


def _count(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _quality(answered: Answered) -> str:
    better = answered.difference
    if better.low > 0:
        said = "Search by meaning answers these queries better than search by words"
    elif better.high < 0:
        said = "Search by words answers these queries better than search by meaning"
    else:
        said = "These queries do not show whether search by meaning or by words answers better"
    said += f": nDCG@10 differs by {_interval(better)}, query by query."
    rows = [_scores("by meaning", answered.dense), _scores("by words (BM25)", answered.lexical)]
    columns = ("search", "nDCG@10", "95 %", "recall@10", "95 %", "reciprocal rank", "95 %", "CPU ms a query", "a point")
    hardest = [[query, f"{score:.2f}"] for query, score in answered.hardest]
    return (
        paragraph(said)
        + Table(columns, rows).html()
        + paragraph(
            f"{better.n} judged queries; documents count by their best passage. Intervals: BCa bootstrap over queries. "
            "CPU: processor time of all threads for a query, its encoding included, and that time for each hundredth "
            "of nDCG@10; on the machine that wrote this page.",
            "soft",
        )
        + heading("Queries that search by meaning answers worst")
        + Table(("query", "nDCG@10"), hardest, wrapped=True).html()
    )


def _scores(name: str, quality: Quality) -> list[str]:
    cells = [name]
    for found in (quality.ndcg, quality.recall, quality.first):
        cells += [f"{found.mean:.3f}", f"{found.low:.3f} – {found.high:.3f}"]
    price = "" if quality.per_point is None else f"{1e3 * quality.per_point:.3g}"
    return [*cells, f"{1e3 * quality.cpu:.3g}", price]


def _interval(found: Interval) -> str:
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _sizes(plan: Plan) -> str:
    """For each depth and number of vectors, a table of dimensions by bits: what is kept, and the bytes of the index."""
    parts = [
        paragraph(
            f"What each size kept of the full size's {plan.target}, and the memory of its index. Sizes that were not "
            "judged were seen with a few queries only, so their figures may be off by several per cent; those judged "
            "are marked with a star.",
            "soft",
        )
    ]
    flat = [row for row in plan.rows if row.candidate.index == "flat"]
    depths = {row.candidate.depth for row in flat}
    tables = dict.fromkeys((row.candidate.depth, row.candidate.vectors) for row in flat)
    for depth, vectors in sorted(tables, key=lambda each: Size(vectors=each[1] or 1)):
        here = [row for row in flat if (row.candidate.depth, row.candidate.vectors) == (depth, vectors)]
        layers = f"depth {depth}" if depth is not None else "all layers" if len(depths) > 1 else ""
        parts.append(_by_bits(here, ", ".join(part for part in (layers, _many(vectors)) if part)).html())
    return "".join(parts)


def _by_bits(here: Sequence[Row], title: str) -> Table:
    bits = sorted({row.size.bits or _EXACT for row in here}, reverse=True)
    dims = sorted({row.candidate.dim for row in here}, reverse=True)
    rows = [
        [_named(dim, here), *(_cell([r for r in here if (r.candidate.dim, r.size.bits or _EXACT) == (dim, b)])
                              for b in bits)]
        for dim in dims
    ]  # fmt: skip
    return Table(("dimensions", *("exact" if b == _EXACT else f"{b} bit" for b in bits)), rows, title)


def _many(vectors: int | str | None) -> str:
    if vectors is None:
        return ""
    return "a vector for every token" if vectors == "all" else f"{vectors} vectors a record"


def _named(dim: int, here: Sequence[Row]) -> str:
    raw = any(row.candidate.dim == dim and row.candidate.made == "raw slice" for row in here)
    return f"{dim} (raw)" if raw else str(dim)


def _cell(rows: Sequence[Row]) -> str:
    """The one of them that was judged, else the one seen with most queries; among those, what keeps most."""
    best = max(rows, key=lambda row: (row.low is not None, row.queries, row.share), default=None)
    if best is None:
        return ""
    star = " *" if best.low is not None else ""
    return f"{percent(best.share)}{star} · {amount(best.ram - best.encoder)}"


def _findings(contents: Contents, why: str) -> str:
    if not contents.findings:
        return paragraph(why or "Nothing was looked at.", "soft")
    parts = []
    for finding in contents.findings:
        parts += [heading(finding.title), paragraph(finding.meaning)]
        parts += [paragraph(finding.advice)] if finding.advice else []
        told = [(str(getattr(figure, "name", "")), str(figure).partition("  ")) for figure in finding.figures]
        rows = [[name, value, note] for name, (value, _, note) in told]
        parts.append(Table(("figure", "value", ""), rows, text=frozenset({2})).html())
        parts.append(paragraph(f"Usual: {finding.usual} Measured on {finding.basis}.", "soft"))
    if contents.skipped:
        said = "; ".join(f"{name}: {reason}" for name, reason in contents.skipped)
        parts.append(paragraph(f"Left out: {said}.", "soft"))
    return "".join(parts)
