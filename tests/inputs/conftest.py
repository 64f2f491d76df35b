"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nestvec.core import Record
from nestvec.inputs import ReadReport, read

Written = Callable[..., tuple[list[Record], ReadReport]]


@pytest.fixture
def read_file(tmp_path: Path) -> Written:
    """Write one file, read it, and give the records and the report."""

    def run(name: str, content: str | bytes, **options: Any) -> tuple[list[Record], ReadReport]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        report = ReadReport()
        return list(read(path, report=report, **options)), report

    return run
