"""What is said when an index cannot be used."""


class IndexWarning(UserWarning):
    """An index could not be used, and exact search took its place: slower, and the same answers or better."""
