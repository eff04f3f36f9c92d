"""Loss, optimiser and the resumable training loop."""
