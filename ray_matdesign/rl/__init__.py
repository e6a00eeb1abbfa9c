"""The reinforcement-learning loop and its parts; knows nothing of Ray."""
