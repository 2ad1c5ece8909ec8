"""The benchmark harness: runs suites of trainings, stores records, compares, reports and guards."""
