"""Loops that overlap: later ones are sampled and relaxed while earlier ones are learnt from.

With ``rl.staleness`` s, loop k is sampled by the policy as it was after loop k-1-s, by the prior
where there was none yet. That rule, and not whoever happens to be ready first, decides which
weights make which crystals: a run gives the same crystals on any executor, however long anything
takes, and after any interruption. It also bounds the work ahead: loop k cannot begin before loop
k-1-s is finished, so at most s loops wait behind the one that is being learnt from.

For s=1, where ``learn`` starts with the evaluations::

    generators, reward workers   | 1 | 2 |  3  |  4  |
    reward workers, learner              | learn 1 | learn 2 | learn 3 |
    weights that sample 3                  prior ^   ^ 4: those of loop 1
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from ray_matdesign.rl import stages
from ray_matdesign.rl.candidate import Candidate
from ray_matdesign.rl.executor import BatchFailed, Executor, MapCancelled, Payload
from ray_matdesign.rl.loop import Campaign, Clock, LoopRecord, harvest, pursue, run_loop
from ray_matdesign.rl.memory import LongTermMemory
from ray_matdesign.rl.progress import Progress, Silent
from ray_matdesign.rl.stages import Tools
from ray_matdesign.rl.workers import GENERATOR, LEARNER

_PARTS_AT_ONCE = 32
"""Sampled batches of a loop whose relaxations are under way at the same time, at most."""

_TICK_S = 0.1
"""Between two looks at what the threads report."""


def run_loops(campaign: Campaign, tools: Tools) -> Generator[LoopRecord]:
    """Runs the loops that are left, one after another or overlapping, as ``rl.staleness`` says.

    Close the iterator where it is not exhausted: loops under way end with it.

    Args:
        campaign: Holds a loop's lessons by the time its record is yielded.
        tools: The run's.

    Raises:
        RunFailed: The run cannot go on.
    """
    last = tools.config.rl.loops
    if tools.config.rl.staleness == 0:
        while campaign.loop < last:
            yield run_loop(campaign, tools)
        return
    with closing(Pipeline(campaign, tools)) as pipeline:
        while campaign.loop < last:
            yield pipeline.next_loop()


@dataclass(frozen=True)
class Prospect:
    """A loop up to its survivors.

    Attributes:
        candidates: All of the loop's.
        tools: Those of the loop.
        seconds: What sampling and relaxing took, each from its beginning to its end.
        began: When either began, in seconds since 1970.
    """

    candidates: list[Candidate]
    tools: Tools
    seconds: Mapping[str, float]
    began: Mapping[str, float]


class Pipeline:
    """Prospects ``rl.staleness`` loops ahead of the one that is harvested.

    Harvests are the caller's thread's alone, and so is the campaign. On an executor that is
    concurrent each prospect has threads of its own, which do nothing but ask the executor and note
    what comes; on another one prospects take their turn in the caller's thread. The result is the
    same.

    Args:
        campaign: May be at any loop; ``earlier`` holds the policies that loops ahead need.
        tools: The run's.
    """

    def __init__(self, campaign: Campaign, tools: Tools) -> None:
        self._campaign = campaign
        self._tools = tools
        self._staleness = tools.config.rl.staleness
        self._relay = Relay()
        self._prospects: dict[int, Future[Prospect]] = {}
        self._threads = ThreadPoolExecutor(self._staleness + 1, "prospect")
        self._finished = time.perf_counter()
        self._busy_s = tools.executor.busy_s()

    def next_loop(self) -> LoopRecord:
        """Harvests the next loop, while those after it are prospected.

        Returns:
            The loop's record. Its ``wall_s`` counts from the end of the loop before, so that the
            sum over the loops is the run's. ``timings`` are from a stage's beginning, which is in
            ``began``, to its end; those of different loops overlap. ``waits`` are seconds for which
            this thread had nothing to do, ``busy`` seconds of work by verb, of all workers and for
            whichever loop, since the record before.

        Raises:
            RunFailed: The run cannot go on.
        """
        self._look_ahead()
        loop, before = self._campaign.loop + 1, time.perf_counter()
        prospect = self._awaited(self._prospects.pop(loop))
        waited = time.perf_counter() - before
        clock = Clock(self._finished)
        clock.seconds.update(prospect.seconds)
        clock.began.update(prospect.began)
        tools = replace(prospect.tools, progress=self._tools.progress)
        tools.executor.publish(LEARNER, self._campaign.weights, self._campaign.version)
        record = harvest(prospect.candidates, self._campaign, tools, clock)
        if self._tools.executor.concurrent:
            self._look_ahead()  # before the caller writes its checkpoint
        self._finished = time.perf_counter()
        figures = {
            "began": clock.began,
            "waits": {"prospect": waited},
            "busy": self._busy_since_last(),
        }
        return LoopRecord(record.candidates, {**record.metrics, **figures})

    def close(self) -> None:
        """Ends the prospects under way; what was paid for is in the ledger. Idempotent."""
        self._relay.stop()
        under_way = list(self._prospects.values())
        while wait(under_way, timeout=0).not_done:
            # A thread between two maps is not reached by the first call.
            self._tools.executor.cancel()
            wait(under_way, timeout=_TICK_S)
        self._threads.shutdown()

    def _look_ahead(self) -> None:
        """Begins every loop that the rule allows."""
        done = self._campaign.loop
        last = min(done + self._staleness + 1, self._tools.config.rl.loops)
        for loop in range(done + 1, last + 1):
            if loop not in self._prospects:
                self._tools.progress.loop_started(loop)
                self._prospects[loop] = self._begin(loop)

    def _begin(self, loop: int) -> Future[Prospect]:
        campaign, concurrent = self._campaign, self._tools.executor.concurrent
        policy = campaign.policy_for(loop, self._staleness)
        # Later loops may have been remembered before a resumed run comes to this one again.
        memory = campaign.memory.up_to(loop - 1 - self._staleness)
        tools = replace(
            self._tools,
            executor=Ranked(self._tools.executor, loop),
            ledger=self._tools.ledger.turned_to(loop),
            progress=self._relay if concurrent else self._tools.progress,
        )
        # Asked for here, before anyone publishes other weights.
        tools.executor.publish(GENERATOR, policy.weights, policy.version)
        clock = Clock()
        drawn = stages.draw(tools, loop)
        if concurrent:
            return self._threads.submit(prospect, drawn, memory, tools, loop, clock)
        finished: Future[Prospect] = Future()
        finished.set_result(prospect(drawn, memory, tools, loop, clock))
        return finished

    def _awaited(self, future: Future[Prospect]) -> Prospect:
        """The prospect, with its progress shown while it is waited for."""
        while not future.done():
            wait([future], timeout=_TICK_S)
            self._relay.pass_on(self._tools.progress)
        self._relay.pass_on(self._tools.progress)
        return future.result()

    def _busy_since_last(self) -> dict[str, float]:
        before, self._busy_s = self._busy_s, self._tools.executor.busy_s()
        since = {verb: spent - before.get(verb, 0.0) for verb, spent in self._busy_s.items()}
        return {verb: spent for verb, spent in since.items() if spent > 0.0}


def prospect(
    drawn: Iterator[tuple[int, list[Candidate]]],
    memory: LongTermMemory,
    tools: Tools,
    loop: int,
    clock: Clock,
) -> Prospect:
    """Takes a loop from its sampling to its survivors.

    Each sampled batch is relaxed as soon as it is there, in batches of its own, so that these do
    not depend on which was there first. Where a loop's relaxations are limited, the choice among
    its crystals has to wait for all of them.

    Args:
        drawn: The loop's sampling; see :func:`ray_matdesign.rl.stages.draw`.
        memory: As it was when the policy that samples was current.
        tools: Those of the loop.
        loop: Its number.
        clock: Started with the sampling.

    Raises:
        RunFailed: No crystal could be sampled.
    """
    arrivals: list[float] = []

    def arriving() -> Iterator[tuple[int, list[Candidate]]]:
        for part in drawn:
            arrivals.append(clock.total())
            yield part

    def relaxed(part: Sequence[Candidate]) -> list[Candidate]:
        return pursue(part, memory, tools, loop)

    if tools.config.rl.relaxations is not None:
        parts = dict(arriving())
        pursued = [relaxed([c for number in sorted(parts) for c in parts[number]])]
    elif tools.executor.concurrent:
        with ThreadPoolExecutor(_PARTS_AT_ONCE, f"loop-{loop}") as threads:
            begun = {number: threads.submit(relaxed, part) for number, part in arriving()}
            pursued = [begun[number].result() for number in sorted(begun)]
    else:
        by_number = {number: relaxed(part) for number, part in arriving()}
        pursued = [by_number[number] for number in sorted(by_number)]
    candidates = stages.require_sun([c for part in pursued for c in part], tools)
    seconds = {"sample": arrivals[-1], "relax": clock.total() - arrivals[0]}
    asked = time.time() - clock.total()
    began = {"sample": asked, "relax": asked + arrivals[0]}
    return Prospect(candidates, tools, seconds, began)


class Ranked:
    """An executor as one loop sees it: whatever an earlier loop asks for goes first.

    Args:
        executor: Everybody's.
        loop: Which loop.
    """

    def __init__(self, executor: Executor, loop: int) -> None:
        self._executor = executor
        self._loop = loop
        self.publish = executor.publish
        self.busy_s = executor.busy_s
        self.cancel = executor.cancel
        self.close = executor.close

    @property
    def concurrent(self) -> bool:
        """As the executor."""
        return self._executor.concurrent

    def map(
        self, role: str, verb: str, batches: Sequence[Payload], *, priority: int = 0
    ) -> Iterator[tuple[int, Payload | BatchFailed]]:
        """As the executor's, in the loop's rank; ``priority`` is not heeded."""
        return self._executor.map(role, verb, batches, priority=self._loop)


class Relay(Silent):
    """Takes down what threads have to say, for the one thread that speaks with whoever watches."""

    def __init__(self) -> None:
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._stage: tuple[str, int, int] | None = None
        self._stopped = False

    def stage(self, name: str, done: int, total: int) -> None:
        """Keeps the latest.

        Raises:
            MapCancelled: The run is stopping; so should the caller.
        """
        if self._stopped:
            raise MapCancelled("the run is stopping")
        self._stage = name, done, total

    def note(self, line: str) -> None:
        """Keeps it."""
        self._notes.put(line)

    def stop(self) -> None:
        """Lets nobody begin another stage."""
        self._stopped = True

    def pass_on(self, progress: Progress) -> None:
        """Tells what came since it was last asked."""
        with suppress(Empty):
            while True:
                progress.note(self._notes.get_nowait())
        latest, self._stage = self._stage, None
        if latest is not None:
            progress.stage(*latest)
