"""One execution: its state, the moves that can be made, and what each move does to the state."""
