"""What the nuScenes benchmarks share: the meta data of a submission."""

from __future__ import annotations

from xmodal_core.config import Settings, setting


class SubmissionMeta(Settings):
    """Options that the submission's ``meta`` states: what the method has seen."""

    use_camera: bool = setting(False, "The method used pictures when it predicted")
    use_lidar: bool = setting(True, "The method used LiDAR")
    use_radar: bool = setting(False, "The method used radar")
    use_map: bool = setting(False, "The method used maps")
    use_external: bool = setting(False, "The method was trained on other data too, e.g. pre-trained")
