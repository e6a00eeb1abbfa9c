"""The ``ray-matdesign`` command; each subcommand imports what it runs only when it runs."""

from ray_matdesign.cli.app import entry, main

__all__ = ["entry", "main"]
