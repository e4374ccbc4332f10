"""Schedule points that a scenario declares around calls of any library."""
