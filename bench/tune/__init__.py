"""`python -m bench tune`: a hyperparameter search that never sees the fold on which its result is evaluated.

``plan`` says what a study is, ``space`` what it may change, ``journal`` is the door to Optuna, ``study`` searches,
``outcome`` and ``page`` tell what the search bought.
"""
