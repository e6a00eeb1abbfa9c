"""Objectives that a language model proposes, and the scorers written for them."""
