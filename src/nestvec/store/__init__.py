"""Rows and named arrays on disk: transactional, checksummed, versioned. It knows no codec and no search."""

from nestvec.store.committing import Commit
from nestvec.store.compact import Compaction
from nestvec.store.disk import Disk
from nestvec.store.ragged import Ragged, RaggedSegment
from nestvec.store.repair import Repair, repair
from nestvec.store.segment import Segment
from nestvec.store.snapshot import Snapshot
from nestvec.store.store import Store, Version
from nestvec.store.verify import Problem, Verification, verify

__all__ = [
    "Commit",
    "Compaction",
    "Disk",
    "Problem",
    "Ragged",
    "RaggedSegment",
    "Repair",
    "Segment",
    "Snapshot",
    "Store",
    "Verification",
    "Version",
    "repair",
    "verify",
]
