"""Export trained models, and predict regions of a genome."""
