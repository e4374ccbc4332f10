"""Reports: pure functions from the harness's values to text. They run nothing and read only their own template."""
