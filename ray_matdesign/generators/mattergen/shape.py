"""MatterGen networks of any size, described by the configuration MatterGen builds them from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ray_matdesign.config.schema import Settings

Property = Literal[
    "dft_mag_density",
    "dft_bulk_modulus",
    "dft_shear_modulus",
    "energy_above_hull",
    "formation_energy_per_atom",
    "hhi_score",
    "ml_bulk_modulus",
    "dft_band_gap",
]
"""Numbers MatterGen can be conditioned on; it accepts no other names."""


class MatterGenShape(Settings):
    """Size of a network; names as in MatterGen's configuration."""

    hidden_dim: Annotated[int, Field(gt=0, multiple_of=2)] = 64
    """Width of atoms and edges."""
    num_blocks: PositiveInt = 2
    max_neighbors: PositiveInt = 12
    cutoff: PositiveFloat = 7.0
    """Angstrom."""
    num_radial: PositiveInt = 32
    emb_size_trip: PositiveInt = 16
    emb_size_bil_trip: PositiveInt = 16
    emb_size_rbf: PositiveInt = 16
    emb_size_cbf: PositiveInt = 16
    noise_levels: Annotated[int, Field(ge=2)] = 1000
    """Of the type diffusion; the sampler takes exactly as many steps."""
    conditions: tuple[Property, ...] = ()
    """Properties to condition on, through MatterGen's adapter layers."""


def shape_config(shape: MatterGenShape) -> dict[str, Any]:
    """The ``config.yaml`` of a network: that of ``mattergen_base``, with other sizes."""
    return {
        "lightning_module": {
            "_target_": "mattergen.diffusion.lightning_module.DiffusionLightningModule",
            "diffusion_module": {
                "_target_": "mattergen.diffusion.diffusion_module.DiffusionModule",
                "corruption": _corruption_config(shape.noise_levels),
                "loss_fn": {
                    "_target_": "mattergen.common.loss.MaterialsLoss",
                    "d3pm_hybrid_lambda": 0.01,
                    "reduce": "sum",
                    "weights": {"atomic_numbers": 1.0, "cell": 1.0, "pos": 0.1},
                },
                "model": _model_config(shape),
                "pre_corruption_fn": {
                    "_target_": "mattergen.property_embeddings.SetEmbeddingType",
                    "dropout_fields_iid": False,
                    "p_unconditional": 0.2,
                },
            },
            "optimizer_partial": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-4},
        }
    }


def _corruption_config(noise_levels: int) -> dict[str, Any]:
    process = "mattergen.common.diffusion.corruption"
    d3pm = "mattergen.diffusion.d3pm.d3pm"
    return {
        "_target_": "mattergen.diffusion.corruption.multi_corruption.MultiCorruption",
        "discrete_corruptions": {
            "atomic_numbers": {
                "_target_": "mattergen.diffusion.corruption.d3pm_corruption.D3PMCorruption",
                "d3pm": {
                    "_target_": f"{d3pm}.MaskDiffusion",
                    "dim": 101,
                    "schedule": {
                        "_target_": f"{d3pm}.create_discrete_diffusion_schedule",
                        "kind": "standard",
                        "num_steps": noise_levels,
                    },
                },
                "offset": 1,
            }
        },
        "sdes": {
            "cell": {
                "_target_": f"{process}.LatticeVPSDE.from_vpsde_config",
                "vpsde_config": {
                    "beta_min": 0.1,
                    "beta_max": 20,
                    "limit_density": 0.05771451654022283,
                    "limit_var_scaling_constant": 0.25,
                },
            },
            "pos": {
                "_target_": f"{process}.NumAtomsVarianceAdjustedWrappedVESDE",
                "limit_info_key": "num_atoms",
                "sigma_max": 5.0,
                "wrapping_boundary": 1.0,
            },
        },
    }


def _model_config(shape: MatterGenShape) -> dict[str, Any]:
    width = shape.hidden_dim
    gemnet = {
        "_target_": "mattergen.common.gemnet.gemnet.GemNetT",
        "atom_embedding": {
            "_target_": "mattergen.common.gemnet.layers.embedding_block.AtomEmbedding",
            "emb_size": width,
            "with_mask_type": True,
        },
        **shape.model_dump(include={"num_blocks", "max_neighbors", "cutoff", "num_radial"}),
        **shape.model_dump(
            include={"emb_size_trip", "emb_size_bil_trip", "emb_size_rbf", "emb_size_cbf"}
        ),
        "emb_size_atom": width,
        "emb_size_edge": width,
        "latent_dim": width,
        "max_cell_images_per_dim": 5,
        "num_targets": 1,
        "otf_graph": True,
        "regress_stress": True,
    }
    model = {
        "_target_": "mattergen.denoiser.GemNetTDenoiser",
        "atom_type_diffusion": "mask",
        "denoise_atom_types": True,
        "hidden_dim": width,
        "gemnet": gemnet,
        "property_embeddings": {},
        "property_embeddings_adapt": {},
    }
    if shape.conditions:
        model["_target_"] = "mattergen.adapter.GemNetTAdapter"
        gemnet["_target_"] = "mattergen.common.gemnet.gemnet_ctrl.GemNetTCtrl"
        gemnet["condition_on_adapt"] = list(shape.conditions)
        model["property_embeddings_adapt"] = {
            name: _condition_config(name, width) for name in shape.conditions
        }
    return model


def _condition_config(name: str, width: int) -> dict[str, Any]:
    return {
        "_target_": "mattergen.property_embeddings.PropertyEmbedding",
        "name": name,
        "conditional_embedding_module": {
            "_target_": "mattergen.diffusion.model_utils.NoiseLevelEncoding",
            "d_model": width,
        },
        "scaler": {"_target_": "mattergen.common.utils.data_utils.StandardScalerTorch"},
        "unconditional_embedding_module": {
            "_target_": "mattergen.property_embeddings.EmbeddingVector",
            "hidden_dim": width,
        },
    }
