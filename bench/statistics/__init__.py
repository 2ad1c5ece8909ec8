"""From records to numbers: means, intervals, pairs, ranks, groups."""
