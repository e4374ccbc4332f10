"""Schedule points between processes: locks of ``multiprocessing``, process ids, ``/proc``."""
