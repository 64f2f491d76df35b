"""Kills and flipped bits: is anything lost, doubled, unreadable, or silently wrong?"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks._faults import drive
from benchmarks.harness import Outcome


def run(*, quick: bool) -> Outcome:
    """500 kills of a writer at random moments and 1,000 flipped bits; quick: 30 and 200."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        killed = drive("kills", Path(folder), count=30 if quick else 500, seed=1)
        between = time.perf_counter()
        spoilt = drive("flips", Path(folder), count=200 if quick else 1_000, truncated=0, zeroed=0, seed=1)
        end = time.perf_counter()
    outcome = Outcome(
        {
            "kills": killed["kills"],
            "unreadable": killed["unreadable"],
            "lost_acked": killed["lost_acked"],
            "duplicated": killed["duplicated"],
            "flips": spoilt["flips"],
            "silent_wrong": spoilt["silent_wrong"] + killed["wrong"],
        },
        ("what was done", "times", "seconds", "went wrong"),
    )
    bad = killed["unreadable"] + killed["lost_acked"] + killed["duplicated"] + killed["wrong"]
    outcome.rows = [
        ("writer killed (SIGKILL) at a random moment", killed["kills"], between - start, bad),
        ("one bit flipped, then all of it read", spoilt["flips"], end - between, spoilt["silent_wrong"]),
        ("one bit flipped, then verified", spoilt["flips"], end - between, spoilt["undetected"]),
    ]
    unknown, refused, unharmed = killed["unknown"], spoilt["refused"], spoilt["unharmed"]
    outcome.notes = [
        f"{killed['commits']} commits were acknowledged before the kills, {unknown} more were made unacknowledged.",
        f"After a flip {refused} reads ended in an error and {unharmed} in the right answer, not needing the bit.",
    ]
    return outcome
