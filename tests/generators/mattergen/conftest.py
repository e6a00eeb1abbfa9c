import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of an unconditional checkpoint."""
    import tiny_mattergen as tm

    folder = tmp_path_factory.mktemp("mattergen") / "tiny"
    return tm.write_checkpoint(folder, tm.tiny_config())


@pytest.fixture(scope="session")
def conditional(tmp_path_factory):
    """Folder of a checkpoint with adapters, which do change what it answers."""
    import tiny_mattergen as tm
    import torch

    def liven(module):
        for name, weight in module.named_parameters():
            if "cond_mixin" in name:  # zero at first, so that conditions would change nothing
                torch.nn.init.normal_(weight)
        for name in ("dft_band_gap", "dft_mag_density"):
            module.model.property_embeddings_adapt[name].fit_scaler(torch.tensor([0.0, 2.0, 4.0]))

    folder = tmp_path_factory.mktemp("mattergen") / "conditional"
    return tm.write_checkpoint(folder, tm.conditional_config(), liven)
