"""nestvec: one embedding system for any data, at any size."""

__version__ = "0.1.0.dev0"
