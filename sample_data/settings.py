"""What can be asked of the generated drive."""

from __future__ import annotations

from xmodal_core.config import Settings, setting


class DriveSettings(Settings):
    """How much to drive, and how large the pictures are. The same settings always give the same bytes."""

    scenes: int = setting(6, "Number of scenes, each another street.", ge=1, le=100)
    frames: int = setting(25, "Keyframes in a scene; two a second.", unit="frames", ge=1, le=200)
    seed: int = setting(0, "Seed of everything random in it.", ge=0, le=2**31 - 1)
    image_width: int = setting(640, "Width of the camera images.", unit="pixels", ge=64, le=1600)
    image_height: int = setting(360, "Height of the camera images.", unit="pixels", ge=36, le=900)

    @property
    def total(self) -> int:
        """Keyframes in all."""
        return self.scenes * self.frames
