"""Results of executions as bytes, for the way from explorer to dealer; parts equal in several are written once."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from harness.result import Execution
from harness.scenario import Workload
from harness.schedulers.tree.branches import Findings, Met

__all__ = ["Ran", "packed", "unpacked"]

_NO_WORKLOAD = Workload((), 1)

_Value = TypeVar("_Value")


class Ran(NamedTuple):
    """An execution, and its findings about the search tree if it was a branch of that (else None)."""

    execution: Execution
    findings: Findings | None


def packed(ran: Sequence[Ran]) -> bytes:
    """Return *ran* as bytes, without the workload: it is always the scenario's."""
    bare = [Ran(replace(execution, workload=_NO_WORKLOAD), findings) for execution, findings in ran]
    if len(bare) > 1:
        once = _Once()
        bare = [once.ran(each) for each in bare]
    return pickle.dumps(bare, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes, workload: Workload) -> list[Ran]:
    """Return the results that ``packed`` made bytes of, with *workload* put back.

    Unpickling runs code. *data* comes from another process of this very run, which is trusted as far as this one.
    """
    ran: list[Ran] = pickle.loads(data)
    return [Ran(replace(execution, workload=workload), findings) for execution, findings in ran]


class _Once:
    """Puts one object in the place of equal ones: pickle writes it once, and the reader has fewer objects to make.

    Executions of one tree have most of their steps in common: of 24 in a row, one step in five is new.
    """

    def __init__(self) -> None:
        # One table for each kind: a named tuple equals any other tuple of the same values.
        self._steps: dict[Any, Any] = {}
        self._touched: dict[Any, Any] = {}
        self._options: dict[Any, Any] = {}
        self._notes: dict[Any, Any] = {}
        self._chances: dict[Any, Any] = {}

    def ran(self, ran: Ran) -> Ran:
        """Return an equal of *ran*, in which parts equal to those of earlier results are the same objects."""
        execution, findings = ran
        steps = tuple([_one(self._steps, step) for step in execution.steps])
        execution = replace(execution, steps=steps, chances=_one(self._chances, execution.chances))
        return Ran(execution, findings and self._findings(findings))

    def _findings(self, findings: Findings) -> Findings:
        return findings._replace(
            met=[self._met(met) for met in findings.met],
            notes=[_one(self._notes, note) for note in findings.notes],
        )

    def _met(self, met: Met) -> Met:
        touched = {choice: _one(self._touched, what) for choice, what in met.touched.items()}
        options = met.options if met.options is None else _one(self._options, met.options)
        return met._replace(touched=touched, options=options)


def _one(known: dict[Any, Any], value: _Value) -> _Value:
    found: _Value = known.setdefault(value, value)
    return found
