"""What a step takes on a GPU that is not there: compiled for it, never run."""
