"""A trained model in use: exported for others, and its predictions for regions of a genome."""
