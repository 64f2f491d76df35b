"""Ways to find the structure of a table, one a file; by name in ``nestvec.tables.SEARCHES``."""
