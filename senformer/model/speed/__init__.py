"""The same functions in less time or memory; skip this room on first reading."""
