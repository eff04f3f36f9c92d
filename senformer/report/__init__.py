"""From tidy tables to a page: result files, tables, claims, figures. Free of TensorFlow."""
