"""xmodal demo."""


def demo() -> None:
    """To be replaced."""
