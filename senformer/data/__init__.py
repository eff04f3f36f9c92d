"""From records, tables and genomes to arrays; and simulated records in the same layout."""
