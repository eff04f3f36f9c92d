"""Measure how far published accuracy is reproduced."""
