"""Programs made of the rooms below: the command line, and models for other people's programs (``mteb``)."""
