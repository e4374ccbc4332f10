"""Things that choose. One strategy per file; each has the two methods of ``base.Scheduler``."""
