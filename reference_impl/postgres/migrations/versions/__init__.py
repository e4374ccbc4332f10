"""Migrations, each named by its number and its purpose; ``down_revision`` names the one before it."""
