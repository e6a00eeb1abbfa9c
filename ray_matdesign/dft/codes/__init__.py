"""The codes, one module each; imported only in the process that runs the calculation."""
