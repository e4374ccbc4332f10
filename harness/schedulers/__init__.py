"""The schedulers, one strategy per file. Each has the two methods of ``base.Scheduler``."""
