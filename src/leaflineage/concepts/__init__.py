"""Mathematics of concepts: arrays in, arrays out; no file, no config, no terminal."""
