"""Running a suite's cells: which ones to train, a process for each, and progress."""
