"""Schedule points between the threads of a worker: starting them, their locks, and looks at these."""
