"""Faulty variants, one seeded bug per file: each is the smallest change to keys or tokens that shows the bug.

A variant's name begins with its number in the catalogue of faults (R: reservation, C: configuration, T:
tokens). Nearly all variants behave as the reference does when requests come one after another, in one worker.
"""

from collections.abc import Mapping
from types import MappingProxyType

from reference_impl.faulty.registry import Variant, named

__all__ = ["SQLITE_ONLY", "VARIANTS", "Variant", "load"]

_MODULES = (
    "r01_get_then_set",
    "r02_select_then_put",
    "r03_in_memory_reservation",
    "r06_never_expires",
    "r07_retention_as_lease",
    "r08_no_fence",
    "r10_no_deadline_is_orphan",
    "r11_stale_take_over",
    "r12_take_over_ignores_fingerprint",
    "r14_not_scoped_by_endpoint",
    "r16_no_fingerprint",
    "r17_fingerprint_after_change",
    "r19_early_return_leaves_reservation",
    "r20_exception_leaves_reservation",
    "r21_cancel_leaves_reservation",
    "r22_release_resolves_with_nothing",
    "r24_two_transactions",
    "r25_completion_before_effect",
    "r26_cancelled_before_set",
    "r27_unfenced_set",
    "r28_unfenced_release",
    "r30_blind_heartbeat",
    "r34_waiter_returns_none",
    "r35_event_before_result",
    "r36_lost_wake_up",
    "r38_timed_out_waiter_works",
    "r39_event_across_workers",
    "r42_polls_in_transaction",
    "r43_status_lost",
    "r44_transient_error_stored",
    "r45_retention_from_reservation",
    "r46_cap_drops_promised",
    "c01_whole_file_rewrite",
    "c02_fixed_temporary_name",
    "c03_check_then_append",
    "c04_conflict_suffix",
    "t01_check_then_insert",
    "t03_deferred_transaction",
    "t07_cancel_strands_lock",
    "t08_begin_outside_guard",
    "t09_shared_connection",
    "t11_read_after_commit",
    "t12_two_transactions",
    "t13_non_partial_unique",
    "t14_insert_or_ignore",
    "t16_revoke_by_agent",
    "t17_delivery_order",
    "t20_blind_retry",
    "t21_remembers_verified",
)

VARIANTS: Mapping[str, str] = MappingProxyType(
    {module.replace("_", "-"): f"{__name__}.{module}" for module in _MODULES}
)
"""The module of each variant, by the variant's name."""

SQLITE_ONLY = frozenset(
    {
        "c02-fixed-temporary-name",
        "r42-polls-in-transaction",
        "r44-transient-error-stored",
        "t03-deferred-transaction",
        "t07-cancel-strands-lock",
        "t08-begin-outside-guard",
        "t09-shared-connection",
        "t14-insert-or-ignore",
    }
)
"""Those that use words or errors that are SQLite's, or its one write lock; all others run over PostgreSQL as well."""


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
