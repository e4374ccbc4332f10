"""Migrations, named by their number and what they do; each says which one it comes after."""
