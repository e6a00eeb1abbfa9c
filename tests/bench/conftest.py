import sys
from pathlib import Path

import pytest

# Benchmarks are scripts that import each other; the toy generator is found by import path.
_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent / "bench"), str(_TESTS / "rl")]


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Folder of a reference set of fcc metals on the toy potential's energy scale."""
    import toy

    folder = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder
