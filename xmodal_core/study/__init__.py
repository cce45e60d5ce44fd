"""Experiments that can be trusted: a grid in a YAML file, a process for each of its jobs, a table over seeds."""
