"""``xmodal bench units``: the steps of unit discovery, each beside what one would otherwise use for it.

Every peer gets exactly what our own step gets: the same points, the same ground, the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from xmodal_core.bench.naive import naive_farthest_points
from xmodal_core.bench.timing import OURS, Row, measured, with_ratios
from xmodal_core.geometry_sampling import farthest_points
from xmodal_core.types import Bools, Floats, Frame, Ints, Pooling, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.context import Context, gather_context
from xmodal_core.units.discovery import discover, in_range
from xmodal_core.units.ground import find_ground
from xmodal_core.units.instances import Instances, find_clusters, keep_instances
from xmodal_core.units.merge import merge_seeds, pooling_matrix
from xmodal_core.units.rbnn import connected


class Bench(NamedTuple):
    """What ``bench_units`` gives: the table, and what a reader of it should know, one line each."""

    rows: list[Row]
    notes: list[str]


class Case(NamedTuple):
    """One frame's input to every step."""

    frame: Frame
    points: Floats
    config: UnitsConfig
    units: Units
    objects: Bools
    repeat: int


def bench_units(
    frame: Frame,
    config: UnitsConfig | None = None,
    *,
    repeat: int = 7,
    radius: float = 0.5,
    on_step: Callable[[str], None] = lambda step: None,
) -> Bench:
    """Time every step on ``frame``.

    Args:
        frame: a sweep with its cameras.
        config: the settings; None for the defaults.
        repeat: how often each function is called; the median counts.
        radius: metres; the peers of the partition know one radius for all points, so there ours uses one too.
        on_step: told the name of each step before it is measured.
    """
    config = config or UnitsConfig()
    points = np.ascontiguousarray(frame.points)
    units, total = measured(lambda: discover(frame, config), repeat)
    objects = in_range(points, config.range) & ~units.ground
    case = Case(frame, points, config, units, objects, repeat)
    rows: list[Row] = []
    for step, measure in STEPS.items():
        on_step(step)
        rows += measure(case, radius)
    rows.append(Row("total", OURS, total))
    rows.append(Row("total", "fastest peers, summed", _fastest_peers(rows) + units.milliseconds["visible"]))
    return Bench(with_ratios(rows), _notes(case, radius))


def _fastest_peers(rows: list[Row]) -> float:
    return sum(
        min(row.milliseconds for row in rows if row.step == step and not row.name.startswith(OURS)) for step in STEPS
    )


def _notes(case: Case, radius: float) -> list[str]:
    units = case.units
    notes = [
        f"{case.frame.name}: {len(case.points):,} points, {int(case.objects.sum()):,} of them objects, "
        f"{len(units.seeds):,} seeds, {units.count:,} units",
        f"instances: the partition alone, with one radius of {radius:g} m for all; 'xmodal, as set' is the whole step, "
        "with the settings' radius and the filters",
        f"total: with finding what the cameras see ({units.milliseconds['visible']:.1f} ms); no peer has the filters",
        "xmodal, SciPy and scikit-learn run in one thread, Open3D in as many as it likes",
    ]
    if _open3d() is None:
        notes.append("Open3D could not be loaded: its rows are left out")
    return notes


def _open3d() -> Any | None:
    try:
        import open3d
    except (ImportError, OSError):  # absent, or a system library of it is
        return None
    return open3d


def _cloud(open3d: Any, points: Floats) -> Any:
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))


def _ground(case: Case, radius: float) -> Iterator[Row]:
    config = case.config
    _, ours = measured(lambda: find_ground(case.points, case.frame.sensor, config.range, config.ground), case.repeat)
    yield Row("ground", OURS, ours)
    if open3d := _open3d():
        # One plane for the whole sweep, as SegContrast takes it.
        cloud = _cloud(open3d, case.points)
        _, peer = measured(lambda: cloud.segment_plane(0.25, 3, 200), case.repeat)
        yield Row("ground", "Open3D RANSAC plane", peer)
    else:
        _, peer = measured(lambda: _ransac_plane(case.points), case.repeat)
        yield Row("ground", "scikit-learn RANSAC plane", peer)


def _ransac_plane(points: Floats) -> Any:
    from sklearn.linear_model import RANSACRegressor

    plane = RANSACRegressor(residual_threshold=0.25, max_trials=200, random_state=0)
    return plane.fit(points[:, :2], points[:, 2])


def _seeds(case: Case, radius: float) -> Iterator[Row]:
    count = case.config.seeds.count
    candidates = case.points[case.objects & case.units.visible]
    flat = candidates[:, :2].astype(np.float64)
    (chosen, _), ours = measured(lambda: farthest_points(flat, count), case.repeat)
    yield Row("seeds", OURS, ours)
    naive, peer = measured(lambda: naive_farthest_points(flat, count, 0) if len(flat) else chosen, case.repeat)
    yield Row("seeds", "naive, numba", peer, bool(np.array_equal(chosen, naive)))
    open3d = _open3d()
    if open3d and len(flat) > count:
        cloud = _cloud(open3d, np.column_stack([flat, np.zeros(len(flat))]))
        found, peer = measured(lambda: cloud.farthest_point_down_sample(count, 0), case.repeat)
        yield Row("seeds", "Open3D", peer, _same_places(flat[chosen], np.asarray(found.points)[:, :2]))


def _same_places(a: Any, b: Any) -> bool:
    return a.shape == b.shape and bool((a[np.lexsort(a.T)] == b[np.lexsort(b.T)]).all())


def _context(case: Case, radius: float) -> Iterator[Row]:
    config, seeds = case.config.context, case.units.seeds
    gathered, ours = measured(lambda: gather_context(case.points, seeds, case.objects, config), case.repeat)
    yield Row("context", OURS, ours)
    peer_context, peer = measured(lambda: _sklearn_context(case), case.repeat)
    yield Row("context", "scikit-learn NearestNeighbors", peer, _same_context(case, gathered, peer_context))


def _sklearn_context(case: Case) -> list[Ints]:
    from sklearn.neighbors import NearestNeighbors

    config, seeds = case.config.context, case.points[case.units.seeds]
    members = case.points[case.objects]
    if len(seeds) == 0:
        return []
    if config.kind == "pillar":
        search = NearestNeighbors(radius=config.pillar_size / 2, metric="chebyshev").fit(members[:, :2])
        return list(search.radius_neighbors(seeds[:, :2], return_distance=False))
    search = NearestNeighbors(n_neighbors=min(config.neighbours, len(members))).fit(members)
    distance, near = search.kneighbors(seeds)
    return [row[reach <= config.radius] for row, reach in zip(near, distance, strict=True)]


def _same_context(case: Case, ours: Context, peer: list[Ints]) -> bool:
    """Whether the same distances were found: of several points equally far either may take any."""
    index = np.flatnonzero(case.objects)
    for number, seed in enumerate(case.units.seeds):
        mine = case.points[ours.point[ours.begin[number] : ours.begin[number + 1]]]
        theirs = case.points[index[peer[number]]]
        if len(mine) != len(theirs) or not np.allclose(
            *(_distances(group, case.points[seed]) for group in (mine, theirs))
        ):
            return False
    return True


def _distances(points: Floats, origin: Floats) -> Any:
    return np.sort(np.linalg.norm(points - origin, axis=1))


def _instances(case: Case, radius: float) -> Iterator[Row]:
    points = case.points[case.objects]
    partition, ours = measured(lambda: connected(points, radius), case.repeat)
    yield Row("instances", OURS, ours)
    _, whole = measured(lambda: _as_set(case), case.repeat)
    yield Row("instances", f"{OURS}, as set", whole)
    labels, peer = measured(lambda: _sklearn_partition(points, radius), case.repeat)
    yield Row("instances", "scikit-learn DBSCAN", peer, same_partition(partition, labels))
    if open3d := _open3d():
        cloud = _cloud(open3d, points)
        clusters, peer = measured(lambda: np.asarray(cloud.cluster_dbscan(radius, 1)), case.repeat)
        yield Row("instances", "Open3D cluster_dbscan", peer, same_partition(partition, clusters))


def _as_set(case: Case) -> Instances:
    config = case.config.instances
    clusters = find_clusters(case.points, case.objects, config)
    return keep_instances(case.points, clusters, case.frame.sensor, config)


def _sklearn_partition(points: Floats, radius: float) -> Ints:
    from sklearn.cluster import DBSCAN

    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(DBSCAN(eps=radius, min_samples=1).fit_predict(points), dtype=np.int64)


def same_partition(a: Ints, b: Ints) -> bool:
    """Whether two labellings cut the same points into the same groups, whatever the numbers."""
    if len(a) != len(b):
        return False
    pairs = len(np.unique(np.column_stack([a, b]), axis=0)) if len(a) else 0
    return pairs == len(np.unique(a)) == len(np.unique(b))


def _merge(case: Case, radius: float) -> Iterator[Row]:
    seeds, instance, total = case.units.seeds, case.units.instance, len(case.points)
    context = gather_context(case.points, seeds, case.objects, case.config.context)
    pooling, ours = measured(lambda: pooling_matrix(context, merge_seeds(seeds, instance), total), case.repeat)
    yield Row("merge", OURS, ours)
    rows, peer = measured(lambda: _naive_merge(context, seeds, instance), case.repeat)
    yield Row("merge", "naive, NumPy", peer, _same_pooling(pooling, rows))


def _naive_merge(context: Context, seeds: Ints, instance: Ints) -> list[dict[int, float]]:
    """The weights of each unit's points, gathered unit by unit, seed by seed."""
    group: dict[tuple[str, int], list[int]] = {}
    for number, inside in enumerate(instance[seeds].tolist()):
        group.setdefault(("instance", inside) if inside >= 0 else ("seed", number), []).append(number)
    units = []
    for members in group.values():
        weights: dict[int, float] = {}
        for member in members:
            near = context.point[context.begin[member] : context.begin[member + 1]]
            for point in near.tolist():
                weights[point] = weights.get(point, 0.0) + 1.0 / (len(near) * len(members))
        units.append(weights)
    return units


def _same_pooling(pooling: Pooling, units: list[dict[int, float]]) -> bool:
    flat = [(unit, point, weight) for unit, weights in enumerate(units) for point, weight in sorted(weights.items())]
    if len(flat) != len(pooling.row):
        return False
    table = np.array(flat).reshape(-1, 3)
    places = np.column_stack([pooling.row, pooling.column])
    return bool((table[:, :2] == places).all() and np.allclose(table[:, 2], pooling.weight, atol=1e-6))


STEPS: dict[str, Callable[[Case, float], Iterator[Row]]] = {
    "ground": _ground,
    "seeds": _seeds,
    "context": _context,
    "instances": _instances,
    "merge": _merge,
}
"""The steps that are measured on their own, in the order of discovery."""
