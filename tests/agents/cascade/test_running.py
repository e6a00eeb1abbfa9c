"""Programs in a real sandbox: what counts as an answer, and what is known of a failure."""

from __future__ import annotations

import pytest
from cascade_cases import COPPER

from ray_matdesign.agents.cascade.building import Boxes
from ray_matdesign.agents.cascade.running import PRELOAD, Bench, Run
from ray_matdesign.agents.cascade.settings import RunSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.job import BadJob
from ray_matdesign.agents.sandbox.limits import Limits

LIMITS = Limits(cpu_s=20.0, wall_s=30.0)


def run(sandbox: Box, source: str, *, repair: bool = False, **changes: object) -> Run:
    task = COPPER.model_copy(update=changes)
    bench = Bench(sandbox, task, LIMITS, repair=repair)
    return bench.run(bench.mended(source))


def test_success_is_the_exit_code_whatever_is_written_to_stderr(sandbox: Box) -> None:
    noisy = "import sys, warnings\nwarnings.warn('old')\nprint('ERROR', file=sys.stderr)\n"
    done = run(sandbox, noisy + "print('volume')\nanswer = 11.76")
    assert (done.ok, done.answer, done.output) == (True, 11.76, "volume")


def test_a_program_may_exit_by_itself_once_it_has_an_answer(sandbox: Box) -> None:
    assert run(sandbox, "answer = 1.5\nraise SystemExit").answer == 1.5
    failed = run(sandbox, "answer = 1.5\nraise SystemExit('no crystal')").failure
    assert failed is not None
    assert (failed.kind, failed.message) == ("SystemExit", "no crystal")


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("x = 1", "NoAnswer", "without assigning the variable answer"),
        ("answer = None", "NotPlain", "answer is None"),
        ("import numpy as np\nanswer = np.float64(1)", "NotPlain", "numpy.float64; use answer.it"),
        ("import numpy as np\nanswer = np.ones(2)", "NotPlain", "use answer.tolist()"),
        ("answer = float('nan')", "NotPlain", "not a finite number"),
        ("answer = [1, {2}]", "NotPlain", "answer[1] is of type set"),
        ("answer = {1: 2}", "NotPlain", "the key 1 of type int"),
        ("class F(float): pass\nanswer = F(1)", "NotPlain", "__main__.F; use float(answer)"),
        ("answer = '11.76'", "WrongType", "it must be a number"),
        ("answer = True", "WrongType", "answer is a bool, True"),
    ],
)
def test_what_is_no_plain_answer_of_the_type_is_refused(
    sandbox: Box, source: str, kind: str, said: str
) -> None:
    failure = run(sandbox, source).failure
    assert failure is not None
    assert failure.kind == kind
    assert said in failure.message


@pytest.mark.parametrize(
    ("wanted", "source", "answer"),
    [
        ("integer", "answer = 3", 3),
        ("boolean", "answer = False", False),
        ("string", "answer = 'Fm-3m'", "Fm-3m"),
        ("list", "answer = (1, 2.5)", [1, 2.5]),
        ("object", "answer = {'Cu': 1}", {"Cu": 1}),
        ("number", "answer = 3", 3),
    ],
)
def test_each_type_of_answer(sandbox: Box, wanted: str, source: str, answer: object) -> None:
    assert run(sandbox, source, answer_type=wanted).answer == answer


def test_a_numpy_answer_is_mended_only_where_that_is_allowed(sandbox: Box) -> None:
    source = "import numpy as np\nanswer = np.float64(11.76)"
    assert not run(sandbox, source).ok
    mended = run(sandbox, source, repair=True)
    assert (mended.answer, mended.repairs, mended.runs) == (11.76, ("made the answer plain",), 2)


def test_an_invented_method_is_told_with_what_there_is_instead(sandbox: Box) -> None:
    source = "from ase.build import bulk\ncell = bulk('Cu', 'fcc', a=3.61)\nanswer = cell.volumes()"
    failure = run(sandbox, source).failure
    assert failure is not None
    assert (failure.kind, failure.line, failure.text) == (
        "AttributeError",
        3,
        "answer = cell.volumes()",
    )
    (told,) = failure.symbols
    assert told.startswith("ase.atoms.Atoms has no volumes; it has get_volume(self)")
    assert any(line.startswith("cell: Atoms") for line in failure.values)


def test_an_import_from_the_wrong_place_is_told_the_right_one(sandbox: Box) -> None:
    failure = run(sandbox, "from ase import bulk\nanswer = 1.0").failure
    assert failure is not None
    assert failure.kind == "ImportError"
    assert "bulk is in ase.build: from ase.build import bulk" in failure.symbols
    failure = run(sandbox, "from ase.bild import bulk\nanswer = 1.0").failure
    assert failure is not None
    assert any("ase has no module bild; it has build" in line for line in failure.symbols)
    failure = run(sandbox, "import atomistica_9\nanswer = 1.0").failure
    assert failure is not None
    assert failure.symbols == ("there is no package atomistica_9 here",)


def test_a_wrong_call_is_told_with_the_arguments_there_are(sandbox: Box) -> None:
    source = "from ase.build import bulk\nanswer = bulk('Cu', structure='fcc').get_volume()"
    failure = run(sandbox, source).failure
    assert failure is not None
    assert failure.kind == "TypeError"
    (told,) = failure.symbols
    assert told.startswith("ase.build.bulk.bulk(name: str, crystalstructure")


def test_a_missing_key_is_told_with_the_keys_there_are(sandbox: Box) -> None:
    failure = run(sandbox, "d = {'volume': 1.0}\nanswer = d['vol']").failure
    assert failure is not None
    assert failure.values[0] == "d: keys ['volume']"


def test_a_misspelt_name_and_a_syntax_error(sandbox: Box) -> None:
    failure = run(sandbox, "lattice = 3.61\nanswer = latice**3").failure
    assert failure is not None
    assert failure.symbols == ("latice is not defined; there are lattice",)
    failure = run(sandbox, "x = 1\nanswer = (1").failure
    assert failure is not None
    assert (failure.kind, failure.line) == ("SyntaxError", 2)


def test_an_error_in_a_library_names_the_line_and_the_place(sandbox: Box) -> None:
    failure = run(sandbox, "from ase.build import bulk\nanswer = bulk('Xx').get_volume()").failure
    assert failure is not None
    assert (failure.line, failure.below.startswith("ase.")) == (2, True)


def test_a_program_without_end_is_stopped(sandbox: Box) -> None:
    quick = Limits(cpu_s=1.0, wall_s=20.0)
    bench = Bench(sandbox, COPPER, quick)
    failure = bench.run(bench.mended("while True:\n    pass")).failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("Stopped", "stopped: it used up its limit of cpu")


def test_files_of_the_task_lie_beside_the_program(sandbox: Box) -> None:
    done = run(sandbox, "answer = float(open('a.txt').read())", files={"a.txt": "3.61"})
    assert done.answer == 3.61


@pytest.mark.parametrize("name", ["main.py", "solution.py", "../x", "skill.py"])
def test_a_file_with_a_name_that_is_taken_is_refused(sandbox: Box, name: str) -> None:
    task = Task(**{**COPPER.model_dump(), "files": {name: ""}})
    with pytest.raises(BadJob, match=r"task copper.volume: files"):
        Bench(sandbox, task, LIMITS, beside={"skill.py": ""})


def test_a_forged_result_does_not_pass_for_an_answer_of_the_type(sandbox: Box) -> None:
    forged = "import os\nopen('result.json', 'w').write('{\"answer\": \"x\"}')\nos._exit(0)"
    failure = run(sandbox, forged).failure
    assert failure is not None
    assert failure.kind == "WrongType"


def test_with_the_packages_of_the_field_imported_beforehand(sandbox: Box) -> None:
    assert sandbox.pid is not None  # there are sandboxes on this machine
    with Boxes(1, PRELOAD) as boxes:
        bench = Bench(boxes, COPPER, RunSettings().limits(), repair=True)
        failure = bench.run(bench.mended("from pymatgen import Structure\nanswer = 1")).failure
        assert failure is not None
        right = "Structure is in pymatgen.core: from pymatgen.core import Structure"
        assert failure.symbols[0] == right
        source = "from pymatgen.core import Composition\nprint(Composition('Fe2O3').weight)"
        done = bench.run(bench.mended(source))
    # 2 x 55.845 + 3 x 15.999 (IUPAC); pymatgen's own is a number with a unit.
    assert done.answer == pytest.approx(159.687, abs=0.01)
    assert done.repairs[1] == "made the answer plain"
