"""Time, chance and the event loop as resources: the controller or the seed decides their values."""

from __future__ import annotations

from collections.abc import Callable

from harness.scenario import Scenario
from harness.worker.event_loop import loop as loops
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.runtime import Runtime
from harness.worker.virtual import clock as clocks
from harness.worker.virtual import randomness as random_streams
from harness.worker.virtual.clock import Clock
from harness.worker.virtual.randomness import Randomness
from harness.worker.virtual.rebind import Replacement

__all__ = ["Chance", "EventLoop", "Time"]


class Time(Resource):
    """Python's clocks, and ``time.sleep``."""

    def __init__(self, runtime: Runtime, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._runtime, self._clock, self._sleep = runtime, clock, sleep

    def replacements(self) -> list[Replacement]:
        """Patch the clocks in place, and return no replacements: nothing is left to be replaced."""
        clocks.install(self._clock, self._sleep)
        return []

    def begin(self, beginning: Beginning) -> None:
        """Set the clock to the time at which the execution begins."""
        self._clock.begin(beginning.now)

    def settles(self, scenario: Scenario) -> Callable[[], None] | None:
        """Return the function that reports readings of the clock, if time may pass at any moment."""
        faults = scenario.faults
        return self._settle if scenario.delays or (faults.most and faults.jumps) else None

    def _settle(self) -> None:
        """Report whether the step read the clock, dated a file or read the date of a file; clear these flags."""
        clock, touched = self._clock, self._runtime.touched
        if clock.read or clock.dated or clock.told_dates:
            for resource, whether in (("clock", clock.read), ("dated", clock.dated), ("dates", clock.told_dates)):
                if whether:
                    touched(resource, "r")
            clock.read = clock.dated = clock.told_dates = False


class Chance(Resource):
    """``random``, ``secrets``, ``os.urandom`` and ``uuid``, seeded."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    def replacements(self) -> list[Replacement]:
        """Return the replacements for the sources of randomness."""
        return random_streams.replacements(self._randomness)

    def begin(self, beginning: Beginning) -> None:
        """Start all streams anew."""
        self._randomness.begin(beginning.seed)


class EventLoop(Resource):
    """``asyncio``'s event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def replacements(self) -> list[Replacement]:
        """Return the replacement that makes ``asyncio`` use a deterministic loop."""
        return loops.replacements(self._runtime)
