"""Simulate records with known regulation."""
