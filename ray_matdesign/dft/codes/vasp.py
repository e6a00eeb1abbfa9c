"""VASP by atomate2's flows and jobflow, for those who have a licence.

The flow of a crystal is known by the calculation's name, which its last job carries as metadata. A
calculation begun again therefore finds its jobs: locally in the folder's own job store, where only
jobs without an output are run, and in jobflow-remote's database, where a flow handed in before is
waited for and not handed in twice. A remote flow outlives the process that waits for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_matdesign.config.import_path import UnknownName, load_object
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.dft.code import Task
from ray_matdesign.dft.result import DftError, DftResult

if TYPE_CHECKING:
    from jobflow import Flow, Job, JobStore

MARK = "ray_matdesign"
"""Key of the calculation's name in the last job's metadata."""

_ENDED_BADLY = ("FAILED", "STOPPED", "PAUSED")


def run(task: Task) -> DftResult:
    """Energy and gap from a flow of jobs; goes on with the jobs of an earlier start."""
    try:
        import jobflow
    except ModuleNotFoundError as error:
        raise DftError("jobflow is not installed here: pip install atomate2") from error

    here = task.settings.jobflow.submit == "local"
    document = _run_here(task) if here else _run_remotely(task)
    return _result(document, task, f"jobflow {jobflow.__version__}")


def build_flow(task: Task) -> Flow:
    """The jobs of a crystal, under the calculation's name.

    Raises:
        DftError: The maker cannot be imported, or refuses the crystal.
    """
    from jobflow import Flow, Job

    maker_path = task.settings.jobflow.maker
    try:
        maker = load_object(maker_path, {}, what="maker")()
    except UnknownName as error:
        raise DftError(str(error)) from error
    except ModuleNotFoundError as error:
        raise DftError(f"maker {maker_path} needs {error.name}, which is not installed") from error
    try:
        made = maker.make(to_pymatgen(task.crystal))
    except (ValueError, KeyError) as error:
        raise DftError(f"maker {maker_path} refused the crystal: {error}") from error
    flow = Flow([made], name=task.name) if isinstance(made, Job) else made
    flow.name = task.name
    _last_job(flow).update_metadata({MARK: task.name})
    return flow


def local_store(folder: Path) -> JobStore:
    """The job store of a calculation's folder, kept in JSON files."""
    from jobflow import JobStore
    from maggma.stores import JSONStore

    def kept(name: str) -> JSONStore:
        return JSONStore(str(folder / name), read_only=False)

    store = JobStore(kept("jobs.json"), additional_stores={"data": kept("data.json")})
    store.connect()
    return store


def _run_here(task: Task) -> Mapping[str, Any]:
    from jobflow import Flow, run_locally
    from monty.json import MontyDecoder, MontyEncoder

    store = local_store(task.folder)
    plan = task.folder / "flow.json"
    if plan.exists():
        flow = json.loads(plan.read_bytes(), cls=MontyDecoder)
    else:
        flow = build_flow(task)
        write_atomic(plan, json.dumps(flow, cls=MontyEncoder))
    unfinished = [job for job, _ in flow.iterflow() if not store.count({"uuid": job.uuid})]
    if unfinished:
        for job in unfinished:
            job.hosts = []  # a job belongs to one flow, and the remaining ones make up another
        jobs = task.folder / "jobs"
        jobs.mkdir(exist_ok=True)
        run_locally(
            Flow(unfinished, name=task.name),
            store=store,
            root_dir=jobs,
            create_folders=True,
            allow_external_references=True,
        )
    document = _marked_output(store, task.name)
    if document is None:
        failed = [job.name for job in unfinished if not store.count({"uuid": job.uuid})]
        raise DftError(f"job {failed[0] if failed else 'unknown'} of the flow failed; see its log")
    return document


def _run_remotely(task: Task) -> Mapping[str, Any]:
    try:
        from jobflow_remote import get_jobstore, submit_flow
        from jobflow_remote.jobs.jobcontroller import JobController
    except ModuleNotFoundError as error:
        raise DftError(
            "jobflow-remote is not installed here: pip install jobflow-remote"
        ) from error

    settings = task.settings.jobflow
    project = settings.project or None
    store = get_jobstore(project)
    store.connect()
    document = _marked_output(store, task.name)
    if document is not None:
        return document
    controller = JobController.from_project_name(project)
    if not controller.get_flows_info(name=task.name):
        submit_flow(build_flow(task), worker=settings.worker or None, project=project)
    await_flow(controller, task.name, settings.poll_s)
    document = _marked_output(store, task.name)
    if document is None:
        raise DftError(f"flow {task.name} ended without the output of its last job")
    return document


def await_flow(controller: Any, name: str, poll_s: float) -> None:
    """Waits until a flow has ended; the process is killed at its limit, the flow is not.

    Args:
        controller: jobflow-remote's ``JobController``.
        name: Of the flow.
        poll_s: Seconds between questions.

    Raises:
        DftError: The flow failed, was stopped or paused, or is no longer there.
    """
    while True:
        flows = controller.get_flows_info(name=name)
        if not flows:
            raise DftError(f"flow {name} is no longer in jobflow-remote's database")
        state = flows[-1].state.value
        if state == "COMPLETED":
            return
        if state in _ENDED_BADLY:
            raise DftError(f"flow {name} is {state.lower()}: see `jf flow info {name}`")
        time.sleep(poll_s)


def _marked_output(store: JobStore, name: str) -> Mapping[str, Any] | None:
    """The output of the last job of a calculation, if it is there."""
    # A job that replaces itself leaves several outputs, of which the highest index is the last.
    found = store.query({f"metadata.{MARK}": name}, properties=["output", "index"])
    documents = sorted(found, key=lambda document: document["index"])
    return documents[-1]["output"] if documents else None


def _last_job(flow: Flow) -> Job:
    return list(flow.iterflow())[-1][0]


def _result(document: Mapping[str, Any], task: Task, program: str) -> DftResult:
    settings = task.settings.jobflow
    energy = _number(document, settings.energy)
    gap = _number(document, settings.band_gap) if settings.band_gap else None
    return DftResult(
        energy_ev_per_atom=energy,
        band_gap_ev=gap,
        direct_gap_ev=None,
        magnetization_mu_b=None,
        scf_steps=0,
        program=program,
    )


def _number(document: Mapping[str, Any], path: str) -> float:
    """The number at a dotted path of a job's output.

    Raises:
        DftError: There is none.
    """
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DftError(f"the last job's output holds no number at {path}")
    return float(value)
