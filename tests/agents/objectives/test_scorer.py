from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scorer_cases.specs import CASES, Case

from ray_matdesign.agents.objectives.artifact import (
    ArtifactError,
    ScorerArtifact,
    load_artifact,
    register,
    registered_in,
)
from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.language import Program
from ray_matdesign.agents.objectives.samples import sample
from ray_matdesign.agents.objectives.scorer import path_of, population_value, written
from ray_matdesign.agents.objectives.validation import validate
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.objective import ScorerError, build_objective
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.stability.reference import ReferenceSet


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(potential=load_potential("emt"), reference=ReferenceSet.load("packaged"))


def _case(name: str) -> Case:
    return next(case for case in CASES if case.spec.name == name)


def _declared(name: str) -> ScorerArtifact:
    case = _case(name)
    program = Program.model_validate({"expression": case.expression})
    return ScorerArtifact(spec=case.spec, program=program)


def _registered(name: str, folder: Path) -> Path:
    return register(validate(_declared(name), None).artifact, folder)[1]


def _specimens(*names: str) -> list[Specimen]:
    return [Specimen(sample(name), 0.0, 0.0, 0.0) for name in names]


def test_written_scorers_are_terms_and_filters_of_an_objective(
    tmp_path: Path, bench: Bench
) -> None:
    names = ("light_covalent_share", "electronegativity_range", "rare_earth_free")
    ramp = {"kind": "ascending", "min": 0.0, "max": 1.0}
    share, contrast, gate = (
        {"scorer": path_of(n), "options": {"artifact": str(_registered(n, tmp_path))}}
        for n in names
    )
    settings = ObjectiveSettings.model_validate(
        {
            "terms": [{**share, "transform": ramp}, {**contrast, "transform": ramp}],
            "filters": [{**gate, "min": 0.5}],
        }
    )
    objective = build_objective(settings, bench)
    magnet, carbide = objective.evaluate(_specimens("SmCo5", "SiC"))
    assert magnet.rejection == "rare_earth_free 0 < min 0.5"
    assert carbide.values["electronegativity_range"] == pytest.approx(0.65)
    assert carbide.reward == pytest.approx((12.0107 / 40.0962 + 0.65) / 2, rel=1e-6)


def test_a_path_serves_its_own_scorer_alone(tmp_path: Path, bench: Bench) -> None:
    options = {"artifact": str(_registered("si_density", tmp_path))}
    settings = ObjectiveSettings.model_validate(
        {
            "terms": [
                {
                    "scorer": path_of("hardness"),
                    "options": options,
                    "transform": {"kind": "ascending", "min": 0.0, "max": 1.0},
                }
            ]
        }
    )
    with pytest.raises(ScorerError, match=r"hardness: .* holds si_density"):
        build_objective(settings, bench)


def test_values_of_registered_scorers_are_asked_for(tmp_path: Path, bench: Bench) -> None:
    scorer = written(bench, str(_registered("vickers_hardness", tmp_path)))
    assert scorer.cost is CostClass.MLIP
    copper, helium = scorer.score([*_specimens("Cu"), Specimen(_helium(), 0.0, 0.0, 0.0)])
    assert isinstance(helium, Failed)
    from ray_matdesign.rewards.scorers.elasticity import bulk_modulus, shear_modulus

    (b,), (g,) = (make(bench).score(_specimens("Cu")) for make in (bulk_modulus, shear_modulus))
    assert copper == pytest.approx(2.0 * (g**3 / b**2) ** 0.585 - 3.0)


def test_python_runs_in_a_sandbox_of_its_own(tmp_path: Path, bench: Bench, sandbox: Box) -> None:
    case = _case("si_density")
    draft = ScorerArtifact(spec=case.spec, source=case.source)
    _, path = register(validate(draft, sandbox).artifact, tmp_path)
    scorer = written(bench, str(path))
    assert scorer.cost is CostClass.MLIP
    (found,) = scorer.score(_specimens("Cu"))
    assert found == pytest.approx(1000.0 * sample("Cu").density)
    assert scorer.score([]) == []


def test_a_population_has_a_value_and_is_no_term(tmp_path: Path, bench: Bench) -> None:
    path = _registered("composition_diversity", tmp_path)
    with pytest.raises(ScorerError, match="one value for a population"):
        written(bench, str(path))
    batch = Batch((sample("NaCl"), sample("MgO")))
    assert population_value(load_artifact(path), batch) == 1.0
    with pytest.raises(ArtifactError, match="not of a population"):
        population_value(_declared("si_density"), batch)


def test_an_artifact_survives_the_disk(tmp_path: Path) -> None:
    artifact, path = register(validate(_declared("si_density"), None).artifact, tmp_path)
    assert load_artifact(path) == artifact
    assert register(artifact, tmp_path)[1] == path
    assert [found for found, _ in registered_in(tmp_path)] == [path]
    assert registered_in(tmp_path / "none") == []


def test_a_changed_artifact_is_refused(tmp_path: Path, bench: Bench) -> None:
    path = _registered("si_density", tmp_path)
    content = json.loads(path.read_text())
    content["spec"]["direction"] = "maximize"
    path.write_text(json.dumps(content))
    with pytest.raises(ScorerError, match="not what its checksum says"):
        written(bench, str(path))
    path.write_text("[]")
    with pytest.raises(ArtifactError, match="not an artifact"):
        load_artifact(path)
    with pytest.raises(ArtifactError, match="No such file"):
        load_artifact(tmp_path / "none.json")


def test_only_what_passed_is_registered(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="drafted, not validated"):
        register(_declared("si_density"), tmp_path)


def test_the_hash_follows_the_code(tmp_path: Path) -> None:
    declared = _declared("si_density")
    in_python = ScorerArtifact(spec=declared.spec, source=_case("si_density").source)
    assert declared.hash != in_python.hash
    renamed = declared.spec.model_copy(update={"name": "rho"})
    assert declared.model_copy(update={"spec": renamed}).hash == declared.hash


def _helium():  # type: ignore[no-untyped-def]
    from ray_matdesign.crystals.crystal import Crystal

    return Crystal(4.0 * np.eye(3), [[0.0, 0.0, 0.0]], [2])
