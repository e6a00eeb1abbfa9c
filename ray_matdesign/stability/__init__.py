"""Stable, unique, novel: the reference set, the hull and the filters."""
