"""Rays against triangles: Open3D's RaycastingScene (Embree), one for what stands and a small one for what moves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sample_data.meshes import Mesh, empty, join
from xmodal_core.types import Bools, Floats


class Hits(NamedTuple):
    """Where rays end. ``distance`` (N,) float32, infinite for none; ``triangle`` (N,) int32, -1 for none; ``u``, ``v``
    (N,) float32 barycentric weights of the triangle's second and third corner."""

    distance: Floats
    triangle: NDArray[np.int32]
    u: Floats
    v: Floats


class Surfaces(NamedTuple):
    """What the triangles look like, standing ones first; ``count`` of them are in use.

    ``normals``, ``local`` (T,3,3) float32, ``colour`` (T,3) float32, ``material`` (T,) uint8, ``thing`` (T,) int32.
    """

    normals: Floats
    local: Floats
    colour: Floats
    material: NDArray[np.uint8]
    thing: NDArray[np.int32]


def _scene(mesh: Mesh) -> Any:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    if len(mesh):
        corners = np.ascontiguousarray(mesh.corners.reshape(-1, 3), dtype=np.float32)
        numbers = np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
        tensor: Any = o3d.core.Tensor  # its stub knows no array alone
        scene.add_triangles(tensor(corners), tensor(numbers))
    return scene


class Stage:
    """Everything that rays can meet in one scene.

    Args:
        standing: triangles that never move.
        things: (len(standing),) int32, the thing that each belongs to.
    """

    def __init__(self, standing: Mesh, things: NDArray[np.int32]) -> None:
        self._standing = _scene(standing)
        self._count = len(standing)
        self._moving: Any = None
        self.surfaces = Surfaces(
            standing.normals, standing.local, standing.colour, standing.material, things.astype(np.int32)
        )

    def move(self, meshes: list[Mesh], things: list[int]) -> None:
        """Put the moving things where they are now, in place of where they were."""
        mesh = join(meshes) if meshes else empty()
        self._moving = _scene(mesh) if len(mesh) else None
        owner = (
            np.repeat(np.asarray(things, dtype=np.int32), [len(m) for m in meshes]) if meshes else np.zeros(0, np.int32)
        )
        self._reserve(self._count + len(mesh))
        parts: tuple[NDArray[Any], ...] = (mesh.normals, mesh.local, mesh.colour, mesh.material, owner)
        buffers: tuple[NDArray[Any], ...] = self.surfaces
        for buffer, part in zip(buffers, parts, strict=True):
            buffer[self._count : self._count + len(mesh)] = part

    def _reserve(self, size: int) -> None:
        if len(self.surfaces.material) >= size:
            return
        room = int(size * 1.2) + 1000
        grown = []
        for buffer in self.surfaces:
            larger = np.zeros((room, *buffer.shape[1:]), dtype=buffer.dtype)
            larger[: self._count] = buffer[: self._count]
            grown.append(larger)
        self.surfaces = Surfaces(*grown)

    def cast(self, rays: Floats, near_moving: Bools | None = None) -> Hits:
        """The first triangle that each ray meets.

        Args:
            rays: (N,6) float32 origin and unit direction.
            near_moving: (N,) bool: only these rays can meet a moving thing; None: any can.
        """
        hits = _cast(self._standing, rays)
        if self._moving is None:
            return hits
        chosen = np.arange(len(rays)) if near_moving is None else np.flatnonzero(near_moving)
        if not len(chosen):
            return hits
        other = _cast(self._moving, rays[chosen])
        nearer = other.distance < hits.distance[chosen]
        rows = chosen[nearer]
        hits.distance[rows] = other.distance[nearer]
        hits.triangle[rows] = other.triangle[nearer] + self._count
        hits.u[rows] = other.u[nearer]
        hits.v[rows] = other.v[nearer]
        return hits

    def blocked(self, rays: Floats, near_moving: Bools | None = None) -> Bools:
        """(N,) bool: something stands in the ray's way. Arguments as in ``cast``."""
        result = _blocked(self._standing, rays)
        if self._moving is None:
            return result
        ask = ~result if near_moving is None else ~result & near_moving
        chosen = np.flatnonzero(ask)
        if len(chosen):
            result[chosen] = _blocked(self._moving, rays[chosen])
        return result


def _cast(scene: Any, rays: Floats) -> Hits:
    import open3d as o3d

    tensor: Any = o3d.core.Tensor
    answer = scene.cast_rays(tensor(np.ascontiguousarray(rays)), nthreads=1)
    weights = answer["primitive_uvs"].numpy()
    triangle = answer["primitive_ids"].numpy().view(np.int32)
    return Hits(answer["t_hit"].numpy(), triangle.copy(), weights[:, 0].copy(), weights[:, 1].copy())


def _blocked(scene: Any, rays: Floats) -> Bools:
    import open3d as o3d

    tensor: Any = o3d.core.Tensor
    answer = scene.test_occlusions(tensor(np.ascontiguousarray(rays)), nthreads=1)
    return np.asarray(answer.numpy().copy(), dtype=np.bool_)
