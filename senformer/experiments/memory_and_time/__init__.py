"""What a training step takes: measured, set side by side, planned, judged."""
