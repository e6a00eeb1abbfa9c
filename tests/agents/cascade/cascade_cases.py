"""A task, programs and tools that the tests of the solver share."""

from __future__ import annotations

from ray_matdesign.agents.cascade.task import FoundSkill, Task
from ray_matdesign.agents.tools.documentation import Brief, NameAsked, SearchAsked, SearchTold
from ray_matdesign.agents.tools.introspect import IntrospectTold
from ray_matdesign.agents.tools.protocol import Tool, Toolbox, ToolError

COPPER = Task(
    id="copper.volume",
    question="What is the volume of the primitive cell of fcc copper with a = 3.61 Angstrom?",
    answer_type="number",
    unit="Angstrom^3",
    seed=3,
)
VOLUME = 3.61**3 / 4


def block(code: str) -> str:
    return f"Here it is:\n```python\n{code}\n```\n"


RIGHT = block("answer = 3.61 ** 3 / 4")
RIGHT_BY_ASE = block(
    "from ase.build import bulk\nanswer = float(bulk('Cu', 'fcc', a=3.61).get_volume())"
)
CUBIC = block("answer = 3.61 ** 3")
INVENTED = block("from ase.build import bulk\nanswer = bulk('Cu', 'fcc', a=3.61).get_cell_volume()")
ENDLESS = block("while True:\n    pass")


BULK = "bulk(name, crystalstructure)"


def _introspect(asked: NameAsked) -> IntrospectTold:
    if asked.name == "ase.build.bulk":
        return IntrospectTold(found=True, name=asked.name, kind="function", signature=BULK)
    if asked.name.endswith("bulk"):
        return IntrospectTold(found=False, close=[f"ase.build.{BULK}"])
    if asked.name.startswith("ambiguous"):
        return IntrospectTold(found=False, close=["a.ambiguous(x)", "b.ambiguous(y)"])
    raise ToolError(f"{asked.name}: nothing like it")


def _search(asked: SearchAsked) -> SearchTold:
    volume = Brief(
        name="ase.Atoms.get_volume",
        kind="method",
        signature="get_volume()",
        summary="Volume of the cell.",
        package="ase",
    )
    return SearchTold(symbols=[volume])


TOOLBOX = Toolbox(
    [
        Tool("search_docs", "Searches documentation.", SearchAsked, SearchTold, _search),
        Tool("introspect", "Looks a name up.", NameAsked, IntrospectTold, _introspect),
    ]
)


class Library:
    """Skills of the tests: one that knows the volume."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str, bool]] = []

    def search(self, question: str, limit: int = 5) -> list[FoundSkill]:
        if "volume" not in question:
            return []
        told = "Volume in Angstrom^3 of the primitive cell of an fcc metal."
        return [FoundSkill("fcc_volume-1", "fcc_volume", "(a: float) -> float", told)][:limit]

    def code(self, skill: str) -> str:
        return {"fcc_volume-1": "def fcc_volume(a: float) -> float:\n    return a**3 / 4\n"}[skill]

    def used(self, skill: str, task: str, *, solved: bool) -> None:
        self.reports.append((skill, task, solved))
