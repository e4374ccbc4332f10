"""``harness compare``: two versions of the code, raced side by side."""
