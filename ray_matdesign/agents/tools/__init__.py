"""What an agent may call: typed functions with a name and a description."""
