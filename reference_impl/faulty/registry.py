"""The parts of a variant, and how a variant is found."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from reference_impl.backend import Address
from reference_impl.schema import JournalMode
from reference_impl.service import OpenService


class Initialise(Protocol):
    """Creates the tables a variant works on."""

    async def __call__(self, path: Address, *, journal_mode: JournalMode = "delete") -> None:
        """As :func:`reference_impl.initialise`."""


class Variant(Protocol):
    """The parts of each variant's module, and of the package ``reference_impl`` itself.

    Attributes:
        NAME: the variant's name.
        initialise: creates the database.
        open_service: makes one worker's service.
    """

    NAME: str
    initialise: Initialise
    open_service: OpenService


def named(name: str, variants: Mapping[str, str]) -> Variant:
    """Import a variant.

    Args:
        name: which one.
        variants: the module of each, by name.

    Returns:
        Its module.

    Raises:
        KeyError: there is no such variant.
    """
    if name not in variants:
        raise KeyError(f"no variant {name!r}; there are: {', '.join(variants)}")
    return cast(Variant, import_module(variants[name]))
