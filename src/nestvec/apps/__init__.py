"""Programs made of the rooms below: the command line."""
