"""The coverage of a run and its gaps, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NAMED", "Coverage"]

NAMED = 20
"""So many of the things that were not covered are named, the first ones; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The coverage of a run's executions and its gaps. Executions that repeat or shrink a failure don't count.

    What was seen, each as the number of different ones:

    - ``interleavings``: executions, up to the order of steps that do not depend on each other; abandoned ones left out.
    - ``answers``: what the clients were told, all together. ``outcomes``: that and the content of the database in the end;
      None where they were not asked for (``run(outcomes=True)``), as they cost a dump each.
    - ``states``: contents of the shared files, byte for byte, whenever a rule looked: after each step that changed them
      where the scenario has invariants or transitions, else in the end only.
    - ``both_orders``, ``one_order``: pairs of operations of different clients (or requests) that met in conflict over the same
      data or lock, by whether each was seen to come first. ``only`` names the first of the latter, the earlier operation
      first. In a complete run these can't come the other way; in another nobody knows.
    - ``since_new``: executions, up to the last, in which no pair, order of a pair, answer or state was new.

    What was not:

    - ``unreached``: calls, as ``file:line call``, that look like schedule points and never were one. There is no list of all
      schedule points, so the source is read for it: in every function in which a schedule point was seen, the calls named
      like a statement of ``sqlite3`` (``execute``, ``commit`` ...) or like a function that was seen to lead to one.
      Functions never entered are not in it, nor points that look otherwise.
    - ``uncalled``: calls of the workload that no execution made.
    - ``fault_places``, ``faults_tried``: where a fault could have been injected, and where one was. A place is a kind of fault
      and the operation before it; ``untried`` names the first of the others. Faults that come to the same are injected once
      by the exhaustive search, so a complete run leaves places out too.
    - ``bounded``: executions that were so long that a fair schedule took over.
    - ``seen``: which part of the tree (within the bound on preemptions, if any) the exhaustive search saw, from 0 to 1, by
      Knuth's estimate; None where there was no such search. Branches are found on the way, so it is more than the truth.
    - ``residual``: for depths 1, 2 and 3 the greatest chance with which a bug of that depth can have escaped the run
      (``harness.schedulers.pct.survival``), from the most ``tasks`` and ``steps`` seen in one execution, and ``pct``, the
      executions for which PCT's guarantee holds, by their depth. It is 1 where there are none and 0 where the run was
      complete. It is about the order of schedule points, without faults.
    """

    interleavings: int = 0
    answers: int = 0
    outcomes: int | None = None
    states: int = 0
    both_orders: int = 0
    one_order: int = 0
    only: tuple[tuple[str, str], ...] = ()
    since_new: int = 0
    unreached: tuple[str, ...] = ()
    uncalled: tuple[str, ...] = ()
    fault_places: int = 0
    faults_tried: int = 0
    untried: tuple[str, ...] = ()
    bounded: int = 0
    seen: float | None = None
    tasks: int = 0
    steps: int = 0
    pct: Mapping[int, int] = field(default_factory=dict)
    residual: Mapping[int, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Coverage interleavings={self.interleavings} states={self.states} since_new={self.since_new}>"
