"""Inside a worker process. Nothing here knows how schedules are chosen; nothing outside calls into here."""
