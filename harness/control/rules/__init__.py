"""Rules: asked on a copy of the shared state, in virtual time, and remembered only where that is sound."""
