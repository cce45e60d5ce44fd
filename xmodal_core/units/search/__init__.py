"""The search for good settings of discovery: trials over a few frames, judged by an objective that cannot be fooled.

``objective`` says what is good, ``space`` what may be varied and how far, ``store`` where trials are remembered, and
``search`` runs them. Light to import; Optuna is loaded when a search begins.
"""
