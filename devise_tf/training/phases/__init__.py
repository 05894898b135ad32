"""The phases of DeViSE, a file each: what the training loop runs, and what a run does before and after it."""
