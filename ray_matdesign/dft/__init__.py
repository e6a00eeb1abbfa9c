"""Density-functional theory: energies and band gaps of crystals by codes in their own processes."""
