"""Hold what others published, and judge it."""
