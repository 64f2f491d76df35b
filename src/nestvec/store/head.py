r"""The newest acknowledged version, written down a second time outside the database.

SQLite drops a damaged tail of its write-ahead log without a word, which is right after a power cut and
wrong after a flipped bit: acknowledged commits would vanish. So every commit also writes its version and
digest here, after the transaction and before it is acknowledged. A database older than its HEAD has lost
something, and says so.

Two slots of 64 bytes, written in turn so that a torn write spoils only the older one::

    8  magic b"NVHEAD\0\1"    8  version, little-endian    16  digest of the version
    24 zeros                    8  xxh3-64 of the 56 bytes before
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import xxhash

from nestvec.store.disk import Disk

_MAGIC = b"NVHEAD\0\1"
_SLOT = 64


@dataclass(frozen=True)
class Head:
    """A version and the digest of the chain that ends in it."""

    version: int
    digest: bytes

    def to_bytes(self) -> bytes:
        """One slot."""
        body = _MAGIC + struct.pack("<Q", self.version) + self.digest
        body = body.ljust(_SLOT - 8, b"\0")
        return body + xxhash.xxh3_64_digest(body)

    @classmethod
    def from_bytes(cls, slot: bytes) -> Head | None:
        """What one slot says; None if it is damaged."""
        body, check = slot[:-8], slot[-8:]
        if len(slot) != _SLOT or not body.startswith(_MAGIC) or xxhash.xxh3_64_digest(body) != check:
            return None
        return cls(*struct.unpack("<Q16s", body[8:32]))


def read_head(path: Path) -> list[Head | None]:
    """Both slots of a HEAD file, None for a damaged one; both None if there is no such file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [None, None]
    slots = [Head.from_bytes(data[:_SLOT]), Head.from_bytes(data[_SLOT : 2 * _SLOT])]
    return slots if len(data) == 2 * _SLOT else [slots[0], None]


def newest(slots: list[Head | None]) -> Head | None:
    """The slot with the higher version."""
    return max((slot for slot in slots if slot), key=lambda head: head.version, default=None)


def create_head(path: Path, head: Head, disk: Disk) -> None:
    """Write both slots, durably, in place of whatever is there."""
    fresh = path.with_name(path.name + ".new")
    disk.remove(fresh)
    disk.write_new(fresh, [head.to_bytes() * 2])
    disk.sync(fresh)
    disk.move(fresh, path)
    disk.sync(path.parent)


def advance_head(path: Path, head: Head, disk: Disk) -> None:
    """Write one slot and return when it is durable."""
    disk.write_at(path, (head.version % 2) * _SLOT, head.to_bytes())
