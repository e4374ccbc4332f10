"""``harness init``: the first scenario of a project, and the settings that name it."""
