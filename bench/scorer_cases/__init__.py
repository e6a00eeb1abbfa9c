"""Objectives with hidden references, broken scorers, and labelled pairs."""
