"""The viewers: one module each, none of them imported until it is chosen."""
