"""Code for both sides of the wall between controller and worker: messages, shared memory, patched clocks."""
