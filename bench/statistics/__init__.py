"""Statistics of records: means, intervals, pairwise tests, ranks, subgroups."""
