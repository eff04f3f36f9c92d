"""Measure how far an effect of one base reaches, and how distant useful sequence is."""
