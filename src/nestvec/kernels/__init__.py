"""Arithmetic shared by the parts: arrays in, arrays out."""
