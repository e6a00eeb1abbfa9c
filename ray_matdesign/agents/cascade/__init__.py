"""Agents that solve tasks by code, and keep what they proved."""
