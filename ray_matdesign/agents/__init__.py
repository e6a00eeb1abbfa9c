"""Language models that write code, and the walls around that code; knows nothing of Ray."""
