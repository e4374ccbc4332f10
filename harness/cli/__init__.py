"""The command line: parses, calls, renders. Heavy imports wait until a command needs them."""
