"""Read records, tables and genomes as arrays, and simulate records in the same format."""
