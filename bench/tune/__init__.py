"""`python -m bench tune`: a search for a better recipe that never sees the fold it is judged on.

``plan`` says what a study is, ``space`` what it may change, ``journal`` is the door to Optuna, ``study`` searches,
``outcome`` and ``page`` tell what the search bought.
"""
