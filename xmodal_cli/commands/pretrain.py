"""xmodal pretrain."""


def pretrain() -> None:
    """To be replaced."""
