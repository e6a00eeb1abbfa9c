"""Problems of the agents' benchmark, with references that are run.

They lie outside the package: code in a sandbox reads the package, and the documentation index
covers it, while nobody but the judge may see a reference.
"""
