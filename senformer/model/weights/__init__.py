"""Read weights of other programs."""
