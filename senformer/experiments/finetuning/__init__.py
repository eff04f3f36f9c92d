"""Measure fine-tuning and what each ablation costs in accuracy."""
