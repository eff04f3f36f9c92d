"""Compare the correlations of tracks between models."""
