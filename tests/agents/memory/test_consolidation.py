from __future__ import annotations

import json
from pathlib import Path

import pytest

from ray_matdesign.agents.llm.protocol import BudgetSpent
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.memory.consolidation import deduplicate, grounded, learn_session
from ray_matdesign.agents.memory.memory import Memory, Note

SAID = (
    "The run failed: bulk('MgO') needs the crystal structure. With crystalstructure='rocksalt' and "
    "a=4.21 it worked."
)
FACT = "bulk('MgO') needs crystalstructure='rocksalt' and worked with a=4.21."
INVENTED = "bulk('MgO') needs a=4.25."


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memory.sqlite")


def _note(memory: Memory, kind: str, text: str, namespace: str = "sessions/s1") -> None:
    fields = {"namespace": namespace, "kind": kind, "text": text, "session": "s1", "task": "t1"}
    memory.remember(Note.model_validate(fields))


def test_facts_of_a_session_are_taken_over_without_a_model(memory: Memory) -> None:
    _note(memory, "text", SAID)
    _note(memory, "fact", "EMT knows seven metals.")
    learnt = learn_session(memory, "s1", "shared").learnt
    assert [one.text for one in learnt] == ["EMT knows seven metals."]
    assert learnt[0].sources[0].session == "s1"
    assert learnt[0].sources[0].task == "t1"
    learn_session(memory, "s1", "shared")
    assert memory.namespaces()["shared"] == 1


def test_a_model_reads_the_texts_and_what_it_adds_is_refused(memory: Memory) -> None:
    _note(memory, "text", SAID)
    llm = Scripted([json.dumps({"facts": [FACT, INVENTED]})])
    found = learn_session(memory, "s1", "shared", llm)
    assert [one.text for one in found.learnt] == [FACT]
    assert found.refused == (INVENTED,)


def test_nonsense_of_a_model_loses_nothing(memory: Memory) -> None:
    _note(memory, "text", SAID)
    assert learn_session(memory, "s1", "shared", Scripted(["no"] * 2)).learnt == ()
    with pytest.raises(BudgetSpent):
        learn_session(memory, "s1", "shared", Scripted([BudgetSpent("spent")]))
    assert memory.session("s1")[0].text == SAID


def test_paraphrases_are_merged_on_a_models_word(memory: Memory) -> None:
    for text in (
        "CHGNet 0.3.0 needs a float32 input graph.",
        "The input graph of CHGNet 0.3.0 needs float32.",
        "The input graph of CHGNet 0.2.0 needs float32.",
        "Phonons want a tight relaxation.",
    ):
        _note(memory, "fact", text, "shared")
    assert deduplicate(memory, "shared").merged == 0
    llm = Scripted(['{"same": true}'])
    assert deduplicate(memory, "shared", llm).merged == 1
    assert len(llm.asked) == 1  # other numbers and other words are no question
    assert len(memory.facts("shared")) == 3
    assert len(memory.facts("shared")[0].sources) == 2


def test_grounding() -> None:
    assert grounded(FACT, SAID)
    assert not grounded(INVENTED, SAID)
    assert not grounded("bulk('CaO') needs crystalstructure='rocksalt'", SAID)
    assert not grounded("Ceramics break easily under tension", SAID)
    assert not grounded("", SAID)
