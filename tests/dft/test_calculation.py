import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.dft.calculation import Calculations
from ray_matdesign.dft.result import DftResult
from ray_matdesign.dft.settings import DftSettings
from ray_matdesign.potentials.protocol import Failed

RESULT = DftResult(-1.5, 2.0, 2.5, None, 7, "toy 1")

pytestmark = pytest.mark.usefixtures("helpers")


def calculations(folder: Path, code: str, **settings: object) -> Calculations:
    return Calculations(DftSettings(code=f"toy_codes:{code}", folder=str(folder), **settings))


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines())


def reason(outcome: DftResult | Failed) -> str:
    assert isinstance(outcome, Failed)
    assert "\n" not in outcome.reason
    return outcome.reason


def test_a_finished_calculation_is_read_back_and_frees_its_scratch(
    tmp_path: Path, silicon: Crystal
) -> None:
    assert calculations(tmp_path, "succeeds").compute([silicon]) == [RESULT]
    assert calculations(tmp_path, "succeeds").compute([silicon]) == [RESULT]
    assert starts(tmp_path) == 1
    (place,) = (p for p in tmp_path.iterdir() if p.is_dir())
    assert place.name.startswith("Si2-")
    assert not (place / "density").exists()


def test_the_same_crystal_in_another_cell_is_the_same_calculation(
    tmp_path: Path, silicon: Crystal
) -> None:
    coords = silicon.frac_coords
    moved = Crystal(silicon.lattice, coords + np.full(3, 1e-9), silicon.numbers)
    twofold = Crystal(
        silicon.lattice * [[2], [1], [1]],
        np.concatenate([coords, coords + np.eye(3)[0]]) / [2, 1, 1],
        [14] * 4,
    )
    work = calculations(tmp_path, "succeeds")
    assert work.name(moved) == work.name(silicon)
    assert len(work.compute([silicon, moved, twofold])) == 3
    assert work.name(Crystal(silicon.lattice * 1.001, silicon.frac_coords, [14, 14])) != work.name(
        silicon
    )


def test_order_and_length_are_kept(tmp_path: Path, silicon: Crystal, magnesia: Crystal) -> None:
    work = calculations(tmp_path, "succeeds", concurrent=2)
    assert work.compute([magnesia, silicon, magnesia]) == [RESULT] * 3
    assert starts(tmp_path) == 2
    assert work.compute([]) == []


def test_what_would_fail_again_is_remembered(tmp_path: Path, silicon: Crystal) -> None:
    for _ in range(2):
        (outcome,) = calculations(tmp_path, "never_converges").compute([silicon])
        assert reason(outcome).endswith("not converged in 3 steps")
    assert starts(tmp_path) == 1


def test_what_may_fare_better_is_tried_again(tmp_path: Path, silicon: Crystal) -> None:
    for _ in range(2):
        (outcome,) = calculations(tmp_path, "has_no_licence").compute([silicon])
        assert "no licence left" in reason(outcome)
    assert starts(tmp_path) == 2


def test_a_killed_calculation_goes_on_from_what_it_left(tmp_path: Path, silicon: Crystal) -> None:
    work = calculations(tmp_path, "goes_on_from_its_density")
    (first,) = work.compute([silicon])
    assert "killed by signal 9" in reason(first)
    assert work.compute([silicon]) == [RESULT]


def test_at_the_limit_a_calculation_is_killed_and_not_begun_again(
    tmp_path: Path, silicon: Crystal, gone: Callable[[int], bool]
) -> None:
    work = calculations(tmp_path, "takes_for_ever", wall_clock_s=8.0)
    assert "out of time" in reason(work.compute([silicon])[0])
    assert gone(int((tmp_path / "child").read_text()))
    (tmp_path / "child").unlink()
    assert "s spent of wall_clock_s=8" in reason(work.compute([silicon])[0])
    assert not (tmp_path / "child").exists()


def test_memory_is_limited(tmp_path: Path, silicon: Crystal) -> None:
    (outcome,) = calculations(tmp_path, "eats_memory", memory_mib=4096).compute([silicon])
    assert "needs more than 4096 MiB" in reason(outcome)


def test_a_crash_is_told_with_the_last_line_printed(tmp_path: Path, silicon: Crystal) -> None:
    (outcome,) = calculations(tmp_path, "crashes").compute([silicon])
    assert "ended with status 3: the matrix is singular" in reason(outcome)


def test_a_damaged_outcome_names_its_file(tmp_path: Path, silicon: Crystal) -> None:
    work = calculations(tmp_path, "succeeds")
    place = tmp_path / work.name(silicon)
    place.mkdir()
    (place / "outcome.json").write_text("{")
    assert f"{place}/outcome.json is damaged" in reason(work.compute([silicon])[0])


def compute_in_process(folder: str, crystal: tuple, answers: multiprocessing.Queue) -> None:
    work = calculations(Path(folder), "takes_a_while")
    answers.put(work.compute([Crystal(*crystal)])[0].to_dict())


def test_two_processes_compute_a_crystal_once(tmp_path: Path, silicon: Crystal) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    crystal = (silicon.lattice, silicon.frac_coords, silicon.numbers)
    processes = [
        context.Process(target=compute_in_process, args=(str(tmp_path), crystal, answers))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    assert [answers.get(timeout=120) for _ in processes] == [RESULT.to_dict()] * 2
    for process in processes:
        process.join()
    assert starts(tmp_path) == 1


def test_a_folder_that_cannot_be_made_is_a_failure(tmp_path: Path, silicon: Crystal) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    (outcome,) = calculations(tmp_path / "file", "succeeds").compute([silicon])
    assert str(tmp_path / "file") in reason(outcome)


def test_unknown_codes_are_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="known are espresso, gpaw, pyscf, vasp"):
        Calculations(DftSettings(code="gpw"))
