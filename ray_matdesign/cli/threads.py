"""How many threads a command computes with."""

from __future__ import annotations

DEFAULT_THREADS = 1


def use_threads(threads: int) -> None:
    """Keeps torch and BLAS to so many threads.

    Batches of small crystals are thousands of small operations: a second thread saves little of
    each, and where something else keeps a core busy every one of them waits for it.
    Measured on two busy cores: the packaged generator drew 64 crystals in 16 to 23 s with one
    thread, and had not drawn them after 100 s with two.
    """
    from ray_matdesign.rl.local import limit_threads

    limit_threads(threads)
