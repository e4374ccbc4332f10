"""One file per library: schedule points installed from outside, over unmodified code."""
