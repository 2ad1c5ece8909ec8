"""Throughput: measured in separate processes, stored in tables."""
