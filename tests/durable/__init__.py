"""What outlives a process, or is steered from outside of it."""
