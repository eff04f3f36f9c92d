"""Enformer and S-Enformer: trunk, transformer, kinds of attention, weights on disk."""
