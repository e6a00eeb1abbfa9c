"""Elastic tensors by batched strains."""

from ray_matdesign.potentials.elasticity.batch import ElasticitySettings, elastic_tensors
from ray_matdesign.potentials.elasticity.tensor import ElasticTensor

__all__ = ["ElasticTensor", "ElasticitySettings", "elastic_tensors"]
