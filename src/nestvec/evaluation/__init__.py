"""Measures with confidence: tasks, comparisons, and diagnostics that need no labels."""
