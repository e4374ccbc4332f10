"""Small programs of tasks that share memory in one event loop, run by asyncio itself and by the harness."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from pathlib import Path
from typing import Any

from harness.scenario import Call, Client, Scenario, Workload

Program = tuple[tuple[str, ...], ...]
"""For each task the names of what it does, one after another."""


class Memory:
    """What the tasks share. ``log`` is what they have done, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.events = asyncio.Event(), asyncio.Event()
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.lock = asyncio.Lock()

    async def run(self, name: int, steps: list[str]) -> str:
        """Do all *steps*, noting each; return what everybody has done until then."""
        for step in steps:
            await self._do(name, step)
            self.log.append(f"{name}{step}")
        return " ".join(self.log)

    async def _do(self, name: int, step: str) -> None:
        if step == "wait":
            await self.events[0].wait()
        elif step == "wait2":
            await self.events[1].wait()
        elif step in ("set", "set2"):
            self.events[step == "set2"].set()
        elif step == "put":
            self.queue.put_nowait(1)
        elif step == "get":
            await self.queue.get()
        elif step == "yield":
            await asyncio.sleep(0)
        elif step == "locked":
            async with self.lock:
                self.log.append(f"{name}in")
                await asyncio.sleep(0)
        elif step == "child":
            await asyncio.gather(asyncio.create_task(self.run(name, ["first"])), self.run(name, ["second"]))


def random_program(seed: int) -> Program:
    """Return three short tasks, of which two wait for what the third does."""
    chosen = random.Random(seed)
    names = ("wait", "wait2", "get", "yield", "locked", "child", "set", "put")
    waiting = [tuple(chosen.choice(names) for _ in range(chosen.randint(1, 2))) for _ in range(2)]
    gets = sum(steps.count("get") for steps in waiting)
    last = [
        *({"wait": "set", "wait2": "set2"}[step] for step in sorted({*waiting[0], *waiting[1]} & {"wait", "wait2"}))
    ]
    last += ["put"] * gets or ["yield"]
    chosen.shuffle(last)
    return *waiting, tuple(last)


async def _opened(_: Path) -> Memory:
    return Memory()


async def _run(memory: Memory, name: int, steps: list[str]) -> str:
    return await memory.run(name, steps)


def scenario_of(program: Program, **more: Any) -> Scenario:
    """Return a scenario in which each task is a client's call of the one worker."""
    clients = tuple(Client((Call("run", (name, list(steps))),)) for name, steps in enumerate(program))
    return Scenario(
        name="turns",
        setup=lambda _: None,
        open=_opened,
        operations={"run": _run},
        workload=lambda _: Workload(clients, 1),
        workers=1,
        ordered=False,
        **more,
    )


def seen_by_asyncio(program: Program, times: int, seed: int = 0) -> set[tuple[str, ...]]:
    """Run *program* so often under asyncio's own loop, its tasks arriving over a socket; return what the tasks returned.

    Runs in which some never end are left out.
    """
    found = set()
    chosen = random.Random(seed)
    for _ in range(times):
        told = asyncio.run(_once(program, chosen))
        if told is not None:
            found.add(told)
    return found


async def _once(program: Program, chosen: random.Random) -> tuple[str, ...] | None:
    loop = asyncio.get_running_loop()
    memory = Memory()
    tasks: dict[int, asyncio.Task[str]] = {}
    here, there = socket.socketpair()
    here.setblocking(False)

    def arrived() -> None:
        for name in here.recv(16):
            tasks[name] = loop.create_task(memory.run(name, list(program[name])))

    loop.add_reader(here, arrived)
    order = list(range(len(program)))
    chosen.shuffle(order)
    delays = [chosen.choice((0.0, 2e-5, 6e-5, 2e-4)) * chosen.random() for _ in order]

    def send() -> None:
        for name, delay in zip(order, delays, strict=True):
            until = time.perf_counter() + delay
            while time.perf_counter() < until:
                pass
            there.send(bytes([name]))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while len(tasks) < len(program):
            await asyncio.sleep(1e-4)
        _, left = await asyncio.wait(tasks.values(), timeout=0.005)
        for task in left:
            task.cancel()
        return None if left else tuple(tasks[name].result() for name in range(len(program)))
    finally:
        sender.join()
        loop.remove_reader(here)
        here.close()
        there.close()
