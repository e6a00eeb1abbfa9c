"""A genetic algorithm as a generator: its weights are a population of decorated structure types."""
