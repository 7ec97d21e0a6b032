"""One file a stage: read records, call mathematics, write records. `table` declares them without importing torch."""
