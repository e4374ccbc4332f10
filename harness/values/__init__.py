"""An execution and its parts as values: steps and answers, schedules, tables, explanations. Nothing here runs anything."""
