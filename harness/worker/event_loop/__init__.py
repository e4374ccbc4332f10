"""The asyncio event loop of a worker: deterministic, in virtual time, its turns decided by the schedule."""
