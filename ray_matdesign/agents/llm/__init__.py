"""Asks a language model: live, scripted or recorded, within a budget, with every word kept."""
