"""Faulty variants with bugs that only PostgreSQL makes possible, one seeded bug per file.

Their names begin with P. All but P10 behave as the reference does when requests come one after another.
"""

from collections.abc import Mapping
from types import MappingProxyType

from reference_impl.faulty.registry import Variant, named

_MODULES = (
    "p01_check_then_insert",
    "p02_write_skew",
    "p03_lost_notify",
    "p04_locks_no_row",
    "p05_advisory_lock_leaks",
    "p06_retry_keeps_effects",
    "p07_failure_not_retried",
    "p08_stale_rotation",
    "p09_conflict_taken_for_insert",
    "p10_client_clock",
    "p11_unfenced_completion",
    "p12_lock_order",
    "p13_notify_before_commit",
    "p14_join_under_lock",
)

VARIANTS: Mapping[str, str] = MappingProxyType(
    {module.replace("_", "-"): f"{__name__}.{module}" for module in _MODULES}
)
"""The module of each variant, by the variant's name."""


def load(name: str) -> Variant:
    """Import a variant.

    Args:
        name: a name in :data:`VARIANTS`.

    Returns:
        The variant's module.

    Raises:
        KeyError: no variant has this name.
    """
    return named(name, VARIANTS)
