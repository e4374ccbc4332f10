"""What both sides of the wall between controller and worker use: messages, shared memory, patched clocks."""
