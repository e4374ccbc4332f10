"""The virtual world of a worker: time, randomness and process ids that the controller decides."""
