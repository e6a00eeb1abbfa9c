"""MatterGen (arXiv:2312.03687) behind the project's own policy protocol."""
