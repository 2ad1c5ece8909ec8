"""Throughput: measured in processes of its own, kept in tables."""
