"""Uncontrolled runs: the same scenario under a real server, with real sockets, real time and real kills."""
