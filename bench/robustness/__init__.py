"""Dice lost when held-out images are spoiled in stated ways: what kept weights are worth on other films."""
