"""The user's project: its settings, its environment, the applications that it races."""
