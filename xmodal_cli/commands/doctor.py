"""xmodal doctor."""


def doctor() -> None:
    """To be replaced."""
