"""Training: the loop, the step, what a run keeps and says."""
