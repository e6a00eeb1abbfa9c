import pytest

from ray_matdesign.stability.reference import ReferenceSet


@pytest.fixture(scope="session")
def packaged() -> ReferenceSet:
    return ReferenceSet.load("packaged")
