"""Agents that watch a campaign and evolve what it strives for."""
