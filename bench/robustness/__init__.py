"""Robustness: the Dice that trained networks lose when held-out images are corrupted."""
