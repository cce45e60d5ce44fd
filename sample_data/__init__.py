"""A procedural drive through a made-up town, in nuScenes format on disk: data to start from."""

from sample_data.drive import ensure_drive
from sample_data.settings import DriveSettings

__all__ = ["DriveSettings", "ensure_drive"]
