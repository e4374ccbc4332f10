"""What a run has covered: pairs of conflicting operations, schedule points, and the gaps that remain."""
