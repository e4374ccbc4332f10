"""The interface of a variant, and the look-up of a variant by its name."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from reference_impl.backend import Address
from reference_impl.schema import JournalMode
from reference_impl.service import OpenService


class Initialise(Protocol):
    """Creates the tables of a variant."""

    async def __call__(self, path: Address, *, journal_mode: JournalMode = "delete") -> None:
        """Create the tables; see :func:`reference_impl.initialise`."""


class Variant(Protocol):
    """The interface of every variant's module, and of the package ``reference_impl`` itself.

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
        name: the variant's name.
        variants: the module of each variant, by the variant's name.

    Returns:
        The variant's module.

    Raises:
        KeyError: no variant has this name.
    """
    if name not in variants:
        raise KeyError(f"no variant {name!r}; there are: {', '.join(variants)}")
    return cast(Variant, import_module(variants[name]))
