from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable, run
from ray_matdesign.agents.sandbox.ground import Tier
from ray_matdesign.agents.sandbox.job import BadJob, Job
from ray_matdesign.agents.sandbox.limits import BadLimits, Limits
from ray_matdesign.agents.sandbox.result import Limit, Outcome
from ray_matdesign.agents.sandbox.tiers import best_tier, probe

pytestmark = pytest.mark.timeout(600)

PATIENT = Limits(wall_s=300.0)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def test_program_speaks_and_exits(box: Box) -> None:
    code = "import sys; print('Grüße'); print('oh', file=sys.stderr); sys.exit(3)"
    result = box.run(Job.of(code, limits=PATIENT))
    assert (result.outcome, result.exit_status, result.ok) == (Outcome.EXITED, 3, False)
    assert (result.stdout, result.stderr) == ("Grüße\n", "oh\n")
    assert result.tier == box.tier
    assert "seccomp" in result.walls


def test_error_is_told_with_the_lines_of_the_code_alone(box: Box) -> None:
    result = box.run(Job.of("def f():\n    return 1 / 0\n\nf()\n", limits=PATIENT))
    assert result.exit_status == 1
    assert "line 2, in f" in result.stderr
    assert result.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "ray_matdesign" not in result.stderr


def test_function_gets_inputs_and_returns_values(box: Box) -> None:
    code = "def score(x, *, k, name):\n    return {'y': x * k, 'n': len(x), 'name': name}\n"
    inputs = {"x": np.arange(6.0).reshape(2, 3), "k": 2.5, "name": "Fe₂O₃"}
    result = box.run(Job.of(code, entry="main.py:score", inputs=inputs, limits=PATIENT))
    assert result.ok, result.stderr
    np.testing.assert_array_equal(result.values["y"], np.arange(6.0).reshape(2, 3) * 2.5)
    assert (result.values["n"], result.values["name"]) == (2, "Fe₂O₃")


def test_function_that_is_not_there_is_an_error_of_the_code(box: Box) -> None:
    result = box.run(Job.of("score = 1", entry="main.py:score", limits=PATIENT))
    assert result.exit_status == 1
    assert "no function score" in result.stderr


@settings(max_examples=15, deadline=None)
@given(value=JSON_VALUES)
def test_json_values_pass_unchanged(box: Box, value: object) -> None:
    job = Job.of("def f(v):\n    return v if isinstance(v, dict) else {'value': v}\n",
                 entry="main.py:f", inputs={"v": value}, limits=PATIENT)  # fmt: skip
    result = box.run(job)
    assert result.ok, result.stderr
    assert result.values == (value if isinstance(value, dict) else {"value": value})


def test_files_of_a_job_import_each_other(box: Box) -> None:
    files = {"main.py": "from parts.area import area\nprint(area(3))",
             "parts/area.py": "def area(a):\n    return a * a\n"}  # fmt: skip
    assert box.run(Job.of(files, limits=PATIENT)).stdout == "9\n"


def test_outputs_are_taken_back_even_if_left_open(box: Box) -> None:
    code = "import os\nos.makedirs('a/b')\nf = open('a/b/c.txt', 'w')\nf.write('kept')\n"
    result = box.run(Job.of(code, outputs=["a/b/c.txt", "never.txt"], limits=PATIENT))
    assert result.files == {"a/b/c.txt": b"kept"}
    assert result.refused == {"never.txt": "was not written"}


def test_common_file_operations_work(box: Box) -> None:
    code = """
import os, shutil, sqlite3, tempfile, zipfile
with open("one.txt", "w") as file:
    file.write("text")
shutil.copy2("one.txt", "two.txt")
os.makedirs("x/y"); os.rename("two.txt", "x/y/three.txt"); shutil.copytree("x", "z")
with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(f"{folder}/a.zip", "w") as archive:
    archive.write("z/y/three.txt")
base = sqlite3.connect("table.db"); base.execute("create table t (a)"); base.commit()
print(open("z/y/three.txt").read(), os.listdir("x"))
"""
    result = box.run(Job.of(code, limits=PATIENT))
    assert result.stdout == "text ['y']\n", result.stderr


def test_threads_and_timers_work(box: Box) -> None:
    code = """
import asyncio, concurrent.futures, signal
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(abs, range(-3, 3))))
async def wait():
    await asyncio.sleep(0.01)
    return "slept"
print(asyncio.run(wait()))
signal.signal(signal.SIGALRM, lambda *_: print("rang"))
signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
"""
    result = box.run(Job.of(code, limits=PATIENT))
    assert result.stdout.split() == ["9", "slept", "rang"], result.stderr


def test_runs_know_nothing_of_each_other(box: Box) -> None:
    first = "import json, builtins\nbuiltins.left = 1\njson.left = 1\nopen('left', 'w').close()"
    assert box.run(Job.of(first, limits=PATIENT)).ok
    then = """
import json, builtins, os
print(os.listdir(), hasattr(json, "left"), hasattr(builtins, "left"))
"""
    assert box.run(Job.of(then, limits=PATIENT)).stdout == "['main.py'] False False\n"


def test_the_same_seed_gives_the_same_numbers(box: Box) -> None:
    code = "import random, numpy as np\nprint(random.random(), np.random.rand(), hash('a'))"
    once, again, other = (
        box.run(Job.of(code, limits=PATIENT, seed=seed)).stdout for seed in (1, 1, 2)
    )
    assert once == again != other


def test_output_is_cut_at_the_limit(box: Box) -> None:
    limits = Limits(wall_s=300.0, output_kib=4)
    result = box.run(Job.of("print('x' * 100000)", limits=limits))
    assert result.ok
    assert (len(result.stdout), result.truncated) == (4096, True)


def test_memory_counts_from_what_is_imported(box: Box) -> None:
    code = "kept = bytearray(b'x') * ({} * 2**20); import time; time.sleep(0.3)"
    limits = Limits(wall_s=300.0, memory_mib=100)
    fits = box.run(Job.of(code.format(60), limits=limits))
    assert fits.ok, fits.stderr
    assert fits.memory_mib == pytest.approx(60, abs=12)
    assert box.run(Job.of(code.format(120), limits=limits)).limit is Limit.MEMORY


def test_wall_clock_and_processor_time_are_measured(box: Box) -> None:
    slept = box.run(Job.of("import time; time.sleep(0.5)", limits=PATIENT))
    assert slept.wall_s >= 0.5 > slept.cpu_s
    worked = box.run(Job.of("import time\nwhile time.process_time() < 0.4: pass", limits=PATIENT))
    assert 0.35 < worked.cpu_s < 1.5


def test_processes_where_they_can_be_granted(box: Box) -> None:
    code = """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True).stdout.decode())
"""
    job = Job.of(code, limits=Limits(wall_s=300.0, processes=True))
    if box.tier is Tier.BUBBLEWRAP:
        assert box.run(job).stdout.strip() == "7"
    else:
        with pytest.raises(SandboxUnavailable, match="needs the bubblewrap tier"):
            box.run(job)


def test_a_box_that_was_killed_comes_back(box: Box) -> None:
    assert box.pid is not None
    os.kill(box.pid, signal.SIGKILL)
    result = box.run(Job.of("print(1)", limits=PATIENT))
    if result.outcome is Outcome.LOST:  # killed between two looks at it
        result = box.run(Job.of("print(1)", limits=PATIENT))
    assert result.stdout == "1\n"


def test_a_box_killed_while_it_runs_says_so_and_leaves_nothing(box: Box) -> None:
    results = []
    job = Job.of("import time; time.sleep(600)", limits=PATIENT)
    running = threading.Thread(target=lambda: results.append(box.run(job)))
    before = len(list(Path(tempfile.gettempdir()).glob("sandbox-*")))
    quiet = box.processes()
    running.start()
    while len(box.processes()) <= len(quiet):
        time.sleep(0.05)
    assert box.pid is not None
    os.kill(box.pid, signal.SIGKILL)
    running.join(60)
    assert [result.outcome for result in results] == [Outcome.LOST]
    deadline = time.monotonic() + 30
    while box.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not box.processes()
    assert len(list(Path(tempfile.gettempdir()).glob("sandbox-*"))) <= before
    assert box.run(Job.of("print(2)", limits=PATIENT)).stdout == "2\n"


class Bell(Exception):
    pass


def test_a_run_ends_with_the_wait_for_it(box: Box) -> None:
    def ring(*_: object) -> None:
        raise Bell

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 3.0)
    try:
        with pytest.raises(Bell):
            box.run(Job.of("import time; time.sleep(600)", limits=PATIENT))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert not box.processes()
    assert box.run(Job.of("print(3)", limits=PATIENT)).stdout == "3\n"


def test_import_that_fails_is_told() -> None:
    with pytest.raises(SandboxUnavailable, match="import of no_such_module"):
        Box(best_tier(), preload=["no_such_module"])


def test_folders_can_be_shown(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "table.json").write_text(json.dumps([1, 2]))
    code = f"print(open({str(tmp_path / 'table.json')!r}).read())"
    assert run(code, readable=[tmp_path], limits=PATIENT).stdout == "[1, 2]\n"
    with pytest.raises(FileNotFoundError, match="no sandbox can read it"):
        run(code, readable=[tmp_path / "missing"])


def test_home_cannot_be_shown() -> None:
    with pytest.raises(RuntimeError, match="showing it would show"):
        run("", readable=[Path.home()])


def test_without_a_wall_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="bwrap is not installed"):
        Box(Tier.BUBBLEWRAP)


def test_jobs_and_limits_are_checked() -> None:
    with pytest.raises(BadJob, match=r"other\.py"):
        Job.of("", entry="other.py")
    with pytest.raises(BadJob, match=r"2 files of 2\.0 MiB: more than the scratch folder takes"):
        Job.of({"main.py": "", "large": bytes(2**21)}, limits=Limits(scratch_mib=1))
    with pytest.raises(ValueError, match="not a plain relative file name"):
        Job.of({"main.py": "", "../x": ""})
    with pytest.raises(BadLimits, match="cpu_s"):
        Limits(cpu_s=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("tier", list(Tier))
def test_scientific_packages_work_inside(tier: Tier) -> None:
    """Lattice sums and energies that are known: NaCl's density, EMT's bulk modulus of copper."""
    from ray_matdesign.agents.sandbox.environment import SCIENTIFIC

    if probe(tier).problem:
        pytest.skip(probe(tier).problem)
    code = """
import numpy as np, torch, scipy.linalg
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from ray_matdesign.crystals.convert import from_pymatgen

cube = Lattice.cubic(5.64)
salt = Structure.from_spacegroup("Fm-3m", cube, ["Na", "Cl"], [[0, 0, 0], [.5, .5, .5]])
copper = bulk("Cu", cubic=True); copper.calc = EMT()
x = torch.tensor([3.0], requires_grad=True); (x**2).sum().backward()

def figures():
    return {
        "density": float(salt.density),
        "group": SpacegroupAnalyzer(salt).get_space_group_number(),
        "pressure": float(np.trace(copper.get_stress(voigt=False))),
        "gradient": x.grad.item(),
        "determinant": float(scipy.linalg.det(np.eye(3) * 2)),
        "atoms": len(from_pymatgen(salt).numbers),
        "threads": torch.get_num_threads(),
    }
"""
    with Box(tier, SCIENTIFIC) as box:
        limits = Limits(wall_s=500.0, cpu_s=120.0)
        result = box.run(Job.of(code, entry="main.py:figures", limits=limits))
    assert result.ok, result.stderr
    values = result.values
    assert values["density"] == pytest.approx(2.16, abs=0.01)  # measured: 2.165 g/cm3
    assert (values["group"], values["atoms"], values["threads"]) == (225, 8, 1)
    assert values["gradient"] == pytest.approx(6.0)
    assert values["determinant"] == pytest.approx(8.0)


def test_the_examples_of_the_documentation_run() -> None:
    page = Path(__file__).parents[3] / "docs" / "sandbox.md"
    first, _ = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    exec(first, {})  # noqa: S102 - our own documentation
