"""The exhaustive search: a tree of decisions, what must be tried in it, and what is redundant."""
