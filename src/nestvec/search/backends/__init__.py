"""Adapters to indexes of other libraries; each file is the only one that imports its library."""
