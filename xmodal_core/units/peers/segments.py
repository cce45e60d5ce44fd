"""SegContrast: DBSCAN segments of the sweep without its ground plane."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.errors import RunError
from xmodal_core.types import Bools, Floats, Frame, Ints, Pooling
from xmodal_core.units.peers.base import Peer, averages


class SegmentsConfig(Settings):
    """SegContrast's settings."""

    plane_distance: float = setting(
        0.25, "returns nearer than this to the plane are ground", unit="m", ge=0.01, le=2, step=0.01
    )
    plane_trials: int = setting(200, "how many planes RANSAC tries", ge=1, le=10000, step=50)
    eps: float = setting(0.25, "DBSCAN: how near neighbours are", unit="m", ge=0.01, le=5, step=0.05)
    min_samples: int = setting(10, "DBSCAN: neighbours that make a core point", unit="points", ge=1, le=200, step=1)
    largest: int = setting(50, "only so many segments are kept, the largest", ge=1, le=5000, step=10)
    min_points: int = setting(20, "smaller segments are no units", unit="points", ge=1, le=1000, step=1)


class Segments(Peer):
    """Segments of the whole sweep, whether or not a camera sees them: SegContrast looks at no picture.

    The plane is fitted by Open3D, as SegContrast does it (scikit-learn's RANSAC measures distances along one axis
    only, not to the plane). DBSCAN is scikit-learn's, which gives Open3D's segments in less time.
    """

    Config: ClassVar[type[Settings]] = SegmentsConfig
    system: ClassVar[str] = "SegContrast"
    source: ClassVar[str] = "Nunes et al., RA-L 2022; pcd_utils/pcd_preprocess.py of PRBonn/segcontrast"
    config: SegmentsConfig

    def __call__(self, frame: Frame, seed: int = 0) -> Pooling:
        above = np.flatnonzero(~plane_points(frame.points, self.config, seed))
        segment = largest_segments(density_clusters(frame.points[above], self.config), self.config)
        inside = segment >= 0
        return averages(segment[inside], above[inside], len(frame))


def plane_points(points: Floats, config: SegmentsConfig, seed: int) -> Bools:
    """(N,) bool: the points of the plane that most ``points`` (N,3) lie on; all of fewer than three."""
    if len(points) < 3:
        return np.ones(len(points), dtype=np.bool_)
    open3d = _open3d()
    open3d.utility.random.seed(seed)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
    # With a probability below 1 Open3D stops early, and its threads race for when: not the same plane each time.
    # (The version that SegContrast used tries all planes too.)
    _, near = cloud.segment_plane(config.plane_distance, 3, config.plane_trials, probability=1.0)
    plane = np.zeros(len(points), dtype=np.bool_)
    plane[np.asarray(near, dtype=np.int64)] = True
    return plane


def density_clusters(points: Floats, config: SegmentsConfig) -> Ints:
    """DBSCAN's cluster of each point (N,), numbered from 0; -1 for noise."""
    from sklearn.cluster import DBSCAN

    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    search = DBSCAN(eps=config.eps, min_samples=config.min_samples)
    return np.asarray(search.fit_predict(points.astype(np.float64)), dtype=np.int64)


def largest_segments(clusters: Ints, config: SegmentsConfig) -> Ints:
    """``clusters`` (N,) with all but the largest, and all that are too small, made -1.

    Of clusters of equal size those found first are kept.
    """
    size = np.bincount(clusters[clusters >= 0])
    kept = np.zeros(len(size) + 1, dtype=np.bool_)  # the last place is that of -1
    kept[np.argsort(-size, kind="stable")[: config.largest]] = True
    kept[:-1] &= size >= config.min_points
    return np.where(kept[clusters], clusters, -1)


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:  # absent, or a system library of it is
        reason = str(error).splitlines()[0]
        raise RunError(
            f"SegContrast's segments need open3d, which cannot be loaded: {reason}", "pip install open3d"
        ) from error
    return open3d
