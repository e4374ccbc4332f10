"""Turns any value into plain data, as JSON has it. Nothing else ever crosses between processes or reaches a file."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import pathlib
import uuid

__all__ = ["Plain", "is_plain", "plain"]

Plain = object
"""None, bool, int, float, str, or a list or a dict with string keys of these."""

_DEPTH = 12
_TEXT = 4000


def plain(value: object, depth: int = _DEPTH) -> Plain:
    """Return *value* as plain data: containers and dataclasses by their parts, anything unknown by its ``repr``.

    Parts nested deeper than *depth* levels, and texts of more than 4,000 characters, are shortened.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, depth)
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        text = str.__str__(value)
        return text if len(text) <= _TEXT else text[:_TEXT] + "..."
    if depth <= 0:
        return "..."
    if isinstance(value, (bytes, bytearray, memoryview)):
        return plain(bytes(value).hex())
    if isinstance(value, dict):
        return {str(key): plain(part, depth - 1) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict(), depth)
    if isinstance(value, (list, tuple)):
        return [plain(part, depth - 1) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(part, depth - 1) for part in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), depth - 1) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, pathlib.PurePath)):
        return str(value)
    return _described(value)


def is_plain(value: object) -> bool:
    """Return whether *value* is plain data already (tuples count as lists)."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(part) for key, part in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _described(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    # A default repr carries the object's address, which differs from run to run.
    return f"<{type(value).__name__}>" if " at 0x" in text else text[:_TEXT]
