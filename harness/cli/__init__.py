"""The command line: parses, calls, renders. Heavy modules are imported only when a command needs them."""
