"""Files, tables, pages, docstrings and plain objects to records; long records to passages.

``read`` gives whole documents, ``passages`` cuts them to an encoder's window, and a ``ReadReport`` says what was
seen and what was passed over, and why. A new kind of file is one module here and one line in ``readers``.
"""

from nestvec.inputs.cells import cells
from nestvec.inputs.limits import Fields, Limits
from nestvec.inputs.readers import READERS
from nestvec.inputs.reading import Source, read, read_several
from nestvec.inputs.report import ReadReport, Reason
from nestvec.inputs.splitting import passages

__all__ = ["READERS", "Fields", "Limits", "ReadReport", "Reason", "Source", "cells", "passages", "read", "read_several"]
