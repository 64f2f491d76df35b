"""What the processor can do."""

from __future__ import annotations

import platform
from pathlib import Path

_FEATURE_LINES = ("flags", "Features")  # x86 and ARM name the same line differently


def cpu_features(source: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The instruction sets that the first core names, in the words of the kernel (``avx2``, ``amx_bf16`` …).

    Args:
        source: the file to read, in the format of Linux's ``/proc/cpuinfo``.

    Returns:
        The names; empty where the system has no such file (macOS, Windows), which callers must read
        as "not known to be there".
    """
    try:
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in _FEATURE_LINES:
            return frozenset(value.split())
    return frozenset()


def cpu_name(source: Path = Path("/proc/cpuinfo")) -> str:
    """What the first core calls itself; the kind of machine where the system has no such file or no such line.

    Args:
        source: the file to read, in the format of Linux's ``/proc/cpuinfo``.
    """
    try:
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()
