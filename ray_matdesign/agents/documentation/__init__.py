"""What installed packages say of themselves: an index that agents search instead of the web."""
