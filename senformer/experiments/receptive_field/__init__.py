"""How far a change of one base reaches: measured, bounded by the pattern, counted, judged."""
