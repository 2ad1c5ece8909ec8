"""A suite's cells: planned from data and inputs, trained in processes of their own, told of while they run."""
