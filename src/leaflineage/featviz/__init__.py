"""Mathematics of feature visualization: magnitude spectra and MACO."""
