"""A plan in sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from nestvec.planner.result import Plan, Row


def sentences(plan: Plan) -> list[str]:
    """What was found, what it rests on, and what to do; plain text, most important first."""
    return [*_verdict(plan), *_more(plan), *_basis(plan)]


def amount(count: int | float) -> str:  # noqa: PYI041  # the tests take float at its word
    """Bytes for people, in powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def percent(share: float) -> str:
    """``98.7 %``; rounded down, as a promise must be."""
    return f"{math.floor(round(share * 1000, 6)) / 10:.1f} %"


def milliseconds(seconds: float) -> str:
    """Two digits that mean something; whole seconds as such."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    if seconds < 1e-4:
        return f"{1e3 * seconds:.2g} ms"
    return f"{1e3 * seconds:.2f} ms" if seconds < 0.01 else f"{1e3 * seconds:.0f} ms"


def _verdict(plan: Plan) -> list[str]:
    row, sure = plan.choice, f"{100 * plan.rules.confidence:g} %"
    keep = percent(plan.rules.keep)
    if plan.verdict == "unaffordable":
        return _unaffordable(plan, keep)
    if plan.verdict == "unproven":
        return [
            (
                f"Keep the full size{_named(plan)} for now: no smaller setting is shown to keep {keep} of "
                f"{plan.target} with {sure} confidence on {plan.judging} queries."
            )
        ]
    if plan.chosen == 0:
        return [f"Keep the full size{_named(plan)}: nothing smaller keeps {keep} of {plan.target}."]
    said = (
        f"{row.label} keeps at least {percent(row.low or 0.0)} of {plan.target}, with {sure} confidence (measured: "
        f"{percent(row.share)}). Its index takes {amount(row.ram - row.encoder)} of memory instead of "
        f"{amount(plan.full.ram - plan.full.encoder)}{_encoders(plan)}."
    )
    return [said, *_raw(row)]


def _named(plan: Plan) -> str:
    """Which one it is, where there are two."""
    return f" ({plan.full.label})" if plan.several else ""


def _encoders(plan: Plan) -> str:
    """What the encoder takes beside it."""
    mine, full = plan.choice.encoder, plan.full.encoder
    if not full:
        return ""
    return f", the encoder {amount(mine)}" + (f" instead of {amount(full)}" if mine != full else "")


def _raw(row: Row) -> list[str]:
    if row.candidate.made != "raw slice":
        return []
    return [
        "It is a raw slice of a model that was not made for it; a ladder for that size may keep more (nestvec fit)."
    ]


def _unaffordable(plan: Plan, keep: str) -> list[str]:
    row = plan.choice
    over = [
        f"{name} {shown(getattr(row, dial))} instead of {shown(limit)}"
        for dial, name, shown in (
            ("ram", "memory", amount), ("disk", "disk", amount), ("p50", "p50", milliseconds),
            ("p95", "p95", milliseconds),
        )
        if (limit := getattr(plan.budget, dial)) is not None and getattr(row, dial) > limit
    ]  # fmt: skip
    if not is_asked_for(plan, row):
        over.insert(0, f"{_a_record(row.candidate.vectors or 1)} instead of {_tried(plan)}")
    said = [
        (
            f"Nothing {'within the budget' if _limited(plan) else 'that was asked for'} is shown to keep {keep} of "
            f"{plan.target}. The nearest that does is {row.label}: {', '.join(over)}."
        )
    ]
    least = min(row.encoder for row in plan.rows)
    if plan.budget.ram is not None and least > plan.budget.ram:
        said.append(
            f"The encoder alone takes {amount(least)}; a ladder with fewer layers is what would help (nestvec fit)."
        )
    if plan.within is not None:
        position, share, low = plan.within
        said.append(
            f"Of what {'the budget has room for' if _limited(plan) else 'was asked for'}, "
            f"{plan.rows[position].label} keeps most: {percent(share)} measured, at "
            f"least {percent(max(low, 0.0))}."
        )
    return said


def _limited(plan: Plan) -> bool:
    """Whether the budget has a limit."""
    return any(getattr(plan.budget, dial) is not None for dial in ("ram", "disk", "p50", "p95"))


def is_asked_for(plan: Plan, row: Row) -> bool:
    """Whether so many vectors a record were to be chosen from."""
    vectors = plan.facts.get("vectors")
    return not isinstance(vectors, list) or (row.candidate.vectors or 1) in vectors


def _tried(plan: Plan) -> str:
    """``1 or 8``."""
    vectors = plan.facts.get("vectors")
    *most, last = map(str, vectors if isinstance(vectors, list) else [1])
    return f"{', '.join(most)} or {last}" if most else last


def _a_record(vectors: int | str) -> str:
    if vectors == "all":
        return "a vector for every token"
    return "one vector a record" if vectors == 1 else f"{vectors} vectors a record"


def _more(plan: Plan) -> list[str]:
    if plan.cheapest is None or plan.needed is None:
        return []
    row = plan.rows[plan.cheapest]
    return [
        (
            f"{row.label} ({amount(row.ram)}) seems to keep {percent(row.share)}, but {plan.queries} queries are "
            f"too few to promise {percent(plan.rules.keep)}; about {_round(plan.needed):,} would do, if it goes on so."
        )
    ]


def _round(count: int) -> int:
    """Two digits: more of them would mean nothing."""
    return round(count, 2 - len(str(count))) if count >= 100 else count


def _basis(plan: Plan) -> list[str]:
    said = [
        (
            f"{len(plan.rows)} settings were looked at with {plan.queries - plan.judging} queries, and "
            f"{len(plan.finalists)} judged with {plan.judging} others; the bounds hold for all of these at once."
        )
    ]
    said += _full_size(plan)
    total, measured = plan.facts.get("records"), plan.facts.get("measured_on")
    if isinstance(total, int) and isinstance(measured, int) and measured < total:
        said.append(
            f"Quality was measured on {measured:,} of {total:,} records, where every size finds answers more easily; "
            "bytes and times are computed for all of them."
        )
    if plan.several and plan.proxy:
        return [*said, _late_proxy(plan)]
    return said + (_tracked() if plan.proxy else [])


def _full_size(plan: Plan) -> list[str]:
    """Where there are two full sizes: which of them the others are compared with, and why."""
    means = plan.facts.get("full_sizes")
    if not isinstance(means, dict) or plan.proxy:
        return []
    return [
        (
            f"The full size here is {plan.full.label}, the better one on the {means['queries']} queries of the look: a "
            f"vector for every token scored {means['all_vectors']:.3f} there, one vector a record "
            f"{means['one_vector']:.3f}."
        )
    ]


def _late_proxy(plan: Plan) -> str:
    """What agreement means where the full size is MaxSim."""
    return (
        f"Nobody judged these queries, so agreement with {plan.full.label} stands in for quality. It says how near a "
        "setting comes to comparing all tokens, not whether that answers better than one vector a record: only judged "
        "queries can tell (--judgements)."
    )


def _tracked() -> list[str]:
    """How well agreement stood in for judgements where both are known."""
    sets: Mapping[str, Any] = tracking()["sets"]
    known = ", ".join(f"{found['spearman']:.2f} ({name})" for name, found in sets.items())
    worst = max(found["regret"] for found in sets.values())
    return [
        (
            "Nobody judged these queries, so agreement with the full size stands in for quality: a change of order "
            "that "
            "no reader would mind counts against a setting, and so does every gain."
        ),
        (
            f"Where judgements are known, agreement put settings in the order of nDCG@10 with a rank correlation of "
            f"{known}; "
            f"the plans picked by it were at most {max(worst, 0):.3f} worse in nDCG@10 than those picked by judgements."
        ),
    ]


@cache
def tracking() -> dict[str, Any]:
    """What ``python -m benchmarks plan`` wrote about the proxy: by set, over all settings that were tried."""
    found: dict[str, Any] = json.loads(files("nestvec.planner").joinpath("tracking.json").read_text(encoding="utf-8"))
    return found
