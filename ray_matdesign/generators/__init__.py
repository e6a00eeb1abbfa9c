"""Crystal generators."""
