"""Runs code nobody has read: no network, no files but its own, an end to everything."""
