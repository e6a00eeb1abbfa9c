"""``python -m ray_matdesign`` is ``ray-matdesign``."""

from ray_matdesign.cli import entry

entry()
