"""xmodal export_ckpt."""


def export_ckpt() -> None:
    """To be replaced."""
