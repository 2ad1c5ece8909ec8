"""`python -m bench tune`: a hyperparameter search that never sees the fold on which its result is evaluated.

``plan`` defines a study, ``space`` what it may change. ``study`` runs the search, ``journal`` stores its trials (by
Optuna), ``result`` and ``page`` report the held-out gain.
"""
