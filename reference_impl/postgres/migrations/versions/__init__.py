"""Migrations, named by their number and content; each names the one before it."""
