"""Rows of a data set as vectors: categories, lists, numbers and text in one space, fitted without labels.

``RowEncoder.fit`` makes an encoder over a growing table, ``save`` and ``load`` keep it, and a collection takes it like
any other. Importing this room loads no torch.
"""

from nestvec.tables.row_encoding.encoder import RowEncoder
from nestvec.tables.row_encoding.fields import RowFields, guess_fields, row_record
from nestvec.tables.row_encoding.saving import SavedRows, read_saved

__all__ = ["RowEncoder", "RowFields", "SavedRows", "guess_fields", "read_saved", "row_record"]
