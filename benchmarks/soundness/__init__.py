"""A second opinion on the search: random programs, explored in two ways and then run for real (``__main__`` says how)."""
