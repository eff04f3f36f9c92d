"""Compile training steps for GPUs that need not be present, without running them."""
