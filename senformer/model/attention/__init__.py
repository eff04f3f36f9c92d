"""The kinds of attention, one file each, and what they share."""
