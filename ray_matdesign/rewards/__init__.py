"""Scorers, transforms and objectives."""
