"""Files that a stopped process leaves whole, and that say themselves when they are damaged."""
