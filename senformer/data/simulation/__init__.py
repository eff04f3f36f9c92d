"""Simulate records whose regulation is known."""
