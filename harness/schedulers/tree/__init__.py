"""The exhaustive search: a tree of decisions, the choices that must be tried in it, and those that are redundant."""
