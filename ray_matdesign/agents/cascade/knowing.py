"""What is known before anything is asked: solved questions, and skills."""

from __future__ import annotations

import keyword

from ray_matdesign.agents.cascade.course import Course
from ray_matdesign.agents.cascade.meter import Metered
from ray_matdesign.agents.cascade.phases import (
    CREDIT,
    RECALL,
    SKILLS,
    Credited,
    Memory,
    Offered,
    OfferedSkills,
    Recalled,
    Remembered,
)
from ray_matdesign.agents.cascade.task import Skills, Task


def recalled(course: Course, memory: Memory, task: Task) -> tuple[Remembered, ...]:
    """Solved questions like that of the task."""

    def work(llm: Metered) -> Recalled:
        found = tuple(memory.recall(task.question, 1))
        course.say(RECALL, "done", f"{len(found)} solved questions like it")
        return Recalled(found=found, spent=llm.spent)

    return course.phase(RECALL, Recalled, work).found


def offered(course: Course, skills: Skills, task: Task, most: int) -> tuple[Offered, ...]:
    """Skills that may help, each of which can lie beside a program under its own name.

    Args:
        course: The task's.
        skills: The library.
        task: The question.
        most: How many.
    """

    def work(llm: Metered) -> OfferedSkills:
        taken = {name.removesuffix(".py") for name in task.files}
        offers: list[Offered] = []
        for found in skills.search(task.question, most):
            plain = found.name.isidentifier() and not keyword.iskeyword(found.name)
            if plain and found.name not in taken:
                taken.add(found.name)
                offers.append(Offered(**vars(found), source=skills.code(found.id)))
        course.say(SKILLS, "done", ", ".join(one.name for one in offers) or "none that fits")
        return OfferedSkills(skills=tuple(offers), spent=llm.spent)

    return course.phase(SKILLS, OfferedSkills, work).skills


def credit(
    course: Course, skills: Skills, offers: tuple[Offered, ...], task: Task, *, solved: bool
) -> None:
    """Tells skills how the task went that they were offered for, once."""

    def work() -> Credited:
        for one in offers:
            skills.used(one.id, task.id, solved=solved)
        return Credited(skills=tuple(one.id for one in offers))

    course.keeper.phase(CREDIT, Credited, work)
