"""Pages to look at: one file each, nothing loaded from anywhere."""
