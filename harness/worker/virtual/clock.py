"""Virtual time: one clock for all workers, moved only by the controller; the time of day may differ between workers.

It is installed under ``time`` and ``datetime`` in a worker, so the code under test reads it without being modified.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from harness.boundary.clock_readings import Readings
from harness.boundary.epoch import EPOCH
from harness.boundary.patched_clocks import clocks, tell_datetimes
from harness.boundary.patching import InPlace
from harness.scenario import Scenario
from harness.worker.virtual.rebind import KEEP

__all__ = ["Clock", "install"]

_EPOCH_NS = int(EPOCH) * 1_000_000_000
_READING_NS = 1_000


class Clock:
    """The clock of a worker; ``now`` is in virtual seconds since the execution began.

    Three flags hold since they were last cleared: ``read`` that code has read the clock, ``dated`` that a file was given its
    time, ``told_dates`` that code has looked at the times of files.

    ``skew`` is the number of seconds by which the time of day is ahead on this machine. Each reading is a microsecond after
    the reading before it, because time stamps order events; ``elapsed_ns`` is how far readings have moved the time on (see
    ``Readings``). ``now`` does not move by them: sleeps that begin together end together.
    """

    __slots__ = (
        "_met",
        "_slots",
        "dated",
        "elapsed_ns",
        "follows_all",
        "now",
        "number",
        "read",
        "readings",
        "real_time_order",
        "skew",
        "told_dates",
    )

    def __init__(self, readings: Readings | None = None) -> None:
        self.readings = readings or Readings()
        self.number = 0
        self.real_time_order = self.follows_all = False
        """Whether the readings of this process follow all earlier readings of other processes, whatever those touched."""
        self._slots: dict[str, int] = {}
        self._met: list[tuple[int, str]] = []
        self.now = 0.0
        self.read = self.dated = self.told_dates = False
        self.skew = 0.0
        self.elapsed_ns = 0

    def be(self, scenario: Scenario, role: str, number: int) -> None:
        """Take the settings for process *number*, which has *role* in *scenario*."""
        self.number = number
        self.skew = dict(enumerate(scenario.skew)).get(number, 0.0) if role == "worker" else 0.0
        self.real_time_order = scenario.ordered
        self.follows_all = role != "worker" or scenario.app is not None

    def begin(self, now: float) -> None:
        """Set the clock to *now*: an execution begins for this process, or goes on after calls that have left nothing."""
        self.now, self.read, self.dated, self.told_dates = now, False, False, False
        self.elapsed_ns = self.readings.latest if self.follows_all else self.readings.of(self.number)
        self._met.clear()

    def set_up(self) -> None:
        """Note that ``setup`` has ended: executions begin after its last reading."""
        self.readings.base = self.elapsed_ns + int(self.now * 1e9)

    def met(self, resource: str, mode: str) -> None:
        """Catch up with earlier steps that touched *resource* and conflict with *mode*: later readings here follow theirs."""
        slot = self._slots.get(resource)
        if slot is None:
            slot = self._slots[resource] = self.readings.slot(resource)
        later = self.readings.later(slot, mode)
        if later > self.elapsed_ns:
            self.elapsed_ns = later
        self._met.append((slot, mode))

    def called(self, lane: str) -> None:
        """Order the readings of a call that begins after its client's last answer; in real-time order, after every answer."""
        self.met(f"client:{lane}", "w")
        if self.real_time_order:
            self.met("history", "i")

    def returned(self, lane: str) -> None:
        """Note that the call in *lane* has ended, so that later calls order their readings after it (see ``called``)."""
        self.met(f"client:{lane}", "w")
        if self.real_time_order:
            self.met("history", "o")

    def stepped(self) -> None:
        """End the step under way: leave its latest reading in shared memory for the other processes."""
        self.readings.leave(self.elapsed_ns, self._met, self.number)
        self._met.clear()

    def ordered(self, now: float) -> None:
        """Set the clock to *now*, the time of an order that has come."""
        self.now = now
        if self.follows_all and self.readings.latest > self.elapsed_ns:
            self.elapsed_ns = self.readings.latest

    def tell(self) -> float:
        """Return the virtual seconds since the execution began, and note that the clock was read."""
        self.read = True
        return self.now

    def of_day(self) -> float:
        """Return the virtual seconds since 1970 by this machine's clock, and note that the clock was read."""
        return self.wall_ns() / 1e9

    def wall_ns(self) -> int:
        """Return the virtual nanoseconds since 1970 by this machine's clock, and note that the clock was read."""
        self.read = True
        self.elapsed_ns += _READING_NS
        return _EPOCH_NS + int((self.now + self.skew) * 1e9) + self.elapsed_ns

    def since_ns(self) -> int:
        """Return the virtual nanoseconds on the monotonic clock, which has no skew, and note that the clock was read."""
        self.read = True
        self.elapsed_ns += _READING_NS
        return int(self.now * 1e9) + self.elapsed_ns

    def of_files(self) -> int:
        """Return the virtual nanoseconds since 1970 that a file gets as its time if it is changed now.

        This is no reading, so it does not move the time. The moment matters only to code that looks at the times of files
        (``told_dates``), if there is any.
        """
        self.dated = True
        return _EPOCH_NS + int(self.now * 1e9) + self.elapsed_ns

    def __repr__(self) -> str:
        return f"<Clock now={self.now}>"


def install(clock: Clock, sleep: Callable[[float], None]) -> None:
    """Put *clock* under the machine's clocks in this process, and *sleep* under ``time.sleep``, for good.

    Modules that wait for real threads and processes (``KEEP``) keep the real functions that they hold as globals.
    """
    placed = [*clocks(clock), InPlace(time.sleep, sleep)]
    real = {id(entry.function): entry.real for entry in placed}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in KEEP:
            for key, value in list(vars(module).items()):
                if id(value) in real and module is not time:
                    setattr(module, key, real[id(value)])
    for entry in placed:
        entry.put()
    tell_datetimes(clock)
