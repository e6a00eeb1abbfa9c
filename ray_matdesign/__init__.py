"""Design inorganic crystals with reinforcement learning on a Ray cluster."""

__version__ = "0.1.0"
