from pathlib import Path
from types import SimpleNamespace

import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.dft.calculation import Calculations
from ray_matdesign.dft.code import Task
from ray_matdesign.dft.codes.vasp import MARK, await_flow, build_flow
from ray_matdesign.dft.result import DftError, DftResult
from ray_matdesign.dft.settings import DftSettings, JobflowSettings
from ray_matdesign.potentials.protocol import Failed

VOLUME_PER_ATOM = 5.43**3 / 8


def vasp(folder: Path, maker: str, **jobflow: str) -> Calculations:
    settings = JobflowSettings(maker=f"trivial_makers:{maker}", **jobflow)
    return Calculations(DftSettings(code="vasp", folder=str(folder), jobflow=settings))


@pytest.fixture
def job_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: None) -> Path:
    pytest.importorskip("jobflow", reason="jobflow is not installed")
    log = tmp_path / "jobs.log"
    monkeypatch.setenv("TRIVIAL_JOBS_LOG", str(log))
    return log


def test_values_come_from_the_last_job_and_are_kept(
    tmp_path: Path, silicon: Crystal, job_log: Path
) -> None:
    work = vasp(tmp_path / "dft", "RelaxStaticMaker")
    (result,) = work.compute([silicon])
    assert isinstance(result, DftResult)
    assert result.band_gap_ev == 1.25
    # The second job sees the crystal the first one left: squeezed by a hundredth.
    assert result.energy_ev_per_atom == pytest.approx(-0.1 * 0.99 * VOLUME_PER_ATOM)
    assert work.compute([silicon]) == [result]
    assert job_log.read_text().split() == ["relax", "static"]


def test_finished_jobs_are_not_repeated(
    tmp_path: Path, silicon: Crystal, job_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = vasp(tmp_path / "dft", "RelaxStaticMaker")
    monkeypatch.setenv("TRIVIAL_JOBS_FAIL", "1")
    (failed,) = work.compute([silicon])
    assert isinstance(failed, Failed)
    assert "job static of the flow failed" in failed.reason
    monkeypatch.delenv("TRIVIAL_JOBS_FAIL")
    (result,) = work.compute([silicon])
    assert isinstance(result, DftResult)
    assert job_log.read_text().split() == ["relax", "static", "static"]


def test_a_single_job_and_other_places_of_the_values_will_do(
    tmp_path: Path, silicon: Crystal, job_log: Path
) -> None:
    (result,) = vasp(tmp_path, "StaticMaker", band_gap="").compute([silicon])
    assert isinstance(result, DftResult)
    assert result.band_gap_ev is None
    (failed,) = vasp(tmp_path, "StaticMaker", energy="output.enthalpy").compute([silicon])
    assert isinstance(failed, Failed)
    assert "holds no number at output.enthalpy" in failed.reason


def test_atomate2_is_given_the_inputs_of_the_materials_project(
    tmp_path: Path, magnesia: Crystal
) -> None:
    pytest.importorskip("atomate2", reason="atomate2 is not installed")
    flow = build_flow(Task("MgO-1", magnesia, DftSettings(code="vasp"), tmp_path, 60.0))
    jobs = [job for job, _ in flow.iterflow()]
    assert flow.name == "MgO-1"
    assert [job.metadata.get(MARK) for job in jobs] == [None, None, "MgO-1"]
    structure = jobs[0].function_args[0]
    assert structure.reduced_formula == "MgO"
    assert structure.volume == pytest.approx(magnesia.volume)
    static = jobs[-1].maker.input_set_generator.get_input_set(structure, potcar_spec=True)
    assert static.incar["ENCUT"] == 520
    assert static.incar["NSW"] == 0
    assert static.potcar.split() == ["Mg_pv", "O"]


def test_a_maker_that_is_not_installed_is_named(tmp_path: Path, silicon: Crystal) -> None:
    pytest.importorskip("jobflow", reason="jobflow is not installed")
    settings = DftSettings(code="vasp", jobflow=JobflowSettings(maker="no_such_package:Maker"))
    with pytest.raises(DftError, match="there is no module 'no_such_package'"):
        build_flow(Task("Si-1", silicon, settings, tmp_path, 60.0))


class Queue:
    """Answers as jobflow-remote's JobController does, which needs a MongoDB server to exist."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)

    def get_flows_info(self, name: str) -> list[SimpleNamespace]:
        state = self.states.pop(0) if self.states else None
        return [] if state is None else [SimpleNamespace(state=SimpleNamespace(value=state))]


def test_a_remote_flow_is_waited_for() -> None:
    queue = Queue("READY", "RUNNING", "COMPLETED", "FAILED")
    await_flow(queue, "Si-1", poll_s=0.001)
    assert queue.states == ["FAILED"]


@pytest.mark.parametrize(
    ("states", "words"),
    [(("RUNNING", "FAILED"), "is failed"), (("STOPPED",), "is stopped"), ((), "no longer in")],
)
def test_a_remote_flow_that_ends_badly_is_a_failure(states: tuple[str, ...], words: str) -> None:
    with pytest.raises(DftError, match=words):
        await_flow(Queue(*states), "Si-1", poll_s=0.001)
