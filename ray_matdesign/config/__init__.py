"""Settings of a run, strict; imports neither torch nor Ray."""
