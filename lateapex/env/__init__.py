"""Turns the simulator into a task: what is seen, what may be done, when it ends, what it pays."""
