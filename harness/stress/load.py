"""Clients that call again as soon as they are answered: turn after turn, each client on a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from random import Random

import httpx

from harness.scenario import Call, Scenario, Workload
from harness.values.history import Event
from harness.values.plain import plain

__all__ = ["PROBE", "Load"]

PROBE = "probe"
"""The name, in every turn's history, of the client that makes the probe's calls after the other clients have stopped."""

_TURNS_PER_CONNECTION = 20
"""Turns after which a connection is closed. A connection stays with one worker, and a fresh worker must get work too."""

_IMPATIENT, _PATIENCE = 0.1, 0.02
"""The share of calls that a client abandons and makes again, and the seconds within which it abandons them."""


class Load:
    """Makes the calls of *scenario*'s turns to the server at *url*; ``turns`` has each turn's events (calls and answers)."""

    def __init__(self, scenario: Scenario, url: str, random: Random) -> None:
        self._scenario, self._url, self._random = scenario, url, random
        self.turns: list[list[Event]] = []
        self.given_up = 0
        self._began = time.monotonic()
        self._numbers: list[Counter[str]] = []

    async def call_for(self, seconds: float, at_once: int) -> None:
        """Run turn after turn, *at_once* turns at the same time, until *seconds* have passed."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._keep_calling(until) for _ in range(at_once)))

    async def probe_all(self, at_once: int) -> None:
        """Make the calls of the scenario's probe for every turn, *at_once* turns at the same time."""
        left = iter(range(len(self.turns)))

        async def some() -> None:
            async with self._connection() as http:
                for turn in left:
                    for call in self._scenario.probe(self._workload(turn)) if self._scenario.probe else ():
                        await self._make(http, call, turn, client=PROBE)

        await asyncio.gather(*(some() for _ in range(at_once)))

    def _workload(self, turn: int) -> Workload:
        assert self._scenario.turns is not None
        return self._scenario.turns(turn)

    def _connection(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._url)

    async def _keep_calling(self, until: float) -> None:
        while time.monotonic() < until:
            connections: list[httpx.AsyncClient] = []
            try:
                for _ in range(_TURNS_PER_CONNECTION):
                    if time.monotonic() >= until:
                        break
                    await self._take_turn(connections)
            finally:
                await asyncio.gather(*(connection.aclose() for connection in connections))

    async def _take_turn(self, connections: list[httpx.AsyncClient]) -> None:
        turn = len(self.turns)
        self.turns.append([])
        self._numbers.append(Counter())
        clients = self._workload(turn).clients
        connections += [self._connection() for _ in range(len(clients) - len(connections))]

        async def call_all(number: int) -> None:
            for call in clients[number].calls:
                await self._insist(connections[number], call, turn, client=f"c{number}")

        await asyncio.gather(*map(call_all, range(len(clients))))

    async def _insist(self, http: httpx.AsyncClient, call: Call, turn: int, *, client: str) -> None:
        """Make *call*; a random share of the calls is abandoned first, and then made again."""
        if self._random.random() < _IMPATIENT:
            try:
                async with asyncio.timeout(self._random.uniform(0.0, _PATIENCE)):
                    await self._make(http, call, turn, client=client)
                return
            except TimeoutError:
                self.given_up += 1
        await self._make(http, call, turn, client=client)

    async def _make(self, http: httpx.AsyncClient, call: Call, turn: int, *, client: str) -> None:
        number = self._numbers[turn][client]
        self._numbers[turn][client] += 1

        def note(kind: str, value: object = None, error: str = "") -> None:
            events, now = self.turns[turn], time.monotonic() - self._began
            told = call.operation, call.arguments, len(events), now, plain(value), error
            events.append(Event(kind, client, number, -1, *told))

        note("invoke")
        try:
            value = await self._scenario.operations[call.operation](http, *call.arguments)
        except asyncio.CancelledError:
            note("info")
            raise
        except Exception as error:
            note("fail", str(error), type(error).__name__)
        else:
            note("ok", value)
