"""Small models trained for this package: properties that no potential gives."""
