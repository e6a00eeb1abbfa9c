import sys
from pathlib import Path

import pytest

# Workers find the toy generator and scorers by import path, as they would a user's own module.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Folder of a reference set of fcc metals on the toy potential's energy scale."""
    import toy

    folder = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder
