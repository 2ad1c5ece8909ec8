"""Records of trainings: stored, found again, checked for consistency, compared."""
