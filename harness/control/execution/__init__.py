"""One execution: its state, the moves that can be made, and the effect of each move on the state."""
