"""How well predictions agree with experiments."""
