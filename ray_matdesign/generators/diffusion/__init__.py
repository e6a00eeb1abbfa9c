"""A joint diffusion model over cells, coordinates and atom types."""
