"""Published values, property by property, that the scorers are held against."""
