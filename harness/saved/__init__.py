"""Values as versioned JSON and back. All that is read back is checked, field by field."""
