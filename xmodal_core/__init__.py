"""The engine: data sets, contrastive units, networks, methods, training and export.

Nothing in here prints, exits or draws; importing this package imports neither torch nor a data set.
"""
