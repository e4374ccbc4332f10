"""The coverage of a run: pairs of conflicting operations, schedule points, and the gaps that remain."""
