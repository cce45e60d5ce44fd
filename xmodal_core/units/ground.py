"""Step 1, ground removal: the line fit of Himmelsbach, von Hundelshausen and Wuensche (IV 2010).

The xy-plane is cut into angular segments and each segment into radial bins; the lowest return of every bin is kept;
lines are grown outward over them and a return close to the line of its place is ground. What the sensor's height and
mount make of it is taken out first: heights are measured from a level plane fitted to the surroundings of the vehicle
(``fit_level``), so that a tilted sensor or a missing height costs nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from xmodal_core.types import Bools, Doubles, Floats, Ints, Sensor
from xmodal_core.units.config import GroundConfig, RangeConfig


class Level(NamedTuple):
    """The plane z = ``x_slope`` x + ``y_slope`` y - ``height`` that the ground around the vehicle lies in, metres."""

    x_slope: float
    y_slope: float
    height: float


class Ground(NamedTuple):
    """``mask`` (N,) bool, ground or below it."""

    mask: Bools
    sensor_height: float


def find_ground(points: Floats, within: Bools, sensor: Sensor, range_: RangeConfig, config: GroundConfig) -> Ground:
    lv = fit_level(points, range_.nearest)
    S, B = config.segments, config.bins
    rmin, rmax = range_.nearest, range_.farthest
    cell, rng, h, lz, ld = _cells(points, np.array(lv), rmin, rmax, S, B)
    gf = config.beam_gaps * np.radians(40.0 / sensor.beams) / lv.height
    lines, cnt = _lines(
        lz,
        ld,
        S,
        B,
        config.max_slope,
        config.max_fit_error,
        config.long_threshold,
        gf,
        config.max_long_height,
        config.max_start_height,
        0.0,
    )
    H, L = _table(lines, cnt, S, B, rmin, rmax, 0.1, 0, gf)
    F, G = _fill(H, L, S, B, int(config.line_search_angle / 360 * S))
    m, _ = _label(cell, rng, h, F, G, B, rmin, rmax, config.max_dist_to_line)
    return Ground(m, lv.height)


def fit_level(points: Floats, nearest: float) -> Level:
    low = _lowest_per_cell(points, nearest, 20.0)
    if len(low) < 12:
        return Level(0.0, 0.0, 1.8)
    z = np.sort(low[:, 2])
    window = 0.3
    count = np.searchsorted(z, z + window, side="right") - np.arange(len(z))
    i = int(count.argmax())
    plane = np.array([0.0, 0.0, np.median(z[i : i + count[i]])])
    for tol in (0.4, 0.3, 0.2, 0.15, 0.15):
        e = low[:, 2] - (low[:, :2] @ plane[:2] + plane[2])
        m = np.abs(e) < tol
        if m.sum() < 12:
            break
        plane = np.linalg.lstsq(np.c_[low[m, :2], np.ones(m.sum())], low[m, 2], rcond=None)[0]
    return Level(float(plane[0]), float(plane[1]), float(-plane[2]))


def _lowest_per_cell(p: Floats, rmin: float, rmax: float) -> Doubles:
    r = np.hypot(p[:, 0], p[:, 1])
    m = (r > rmin) & (r < rmax)
    q, r = p[m].astype(np.float64), r[m]
    s = ((np.arctan2(q[:, 1], q[:, 0]) + np.pi) / (2 * np.pi) * 72).astype(int) % 72
    c = s * 100 + (r - rmin).astype(int)
    o = np.lexsort((q[:, 2], c))
    return q[o][np.r_[True, np.diff(c[o]) > 0]]


@njit(cache=True)
def _cells(points, level, rmin, rmax, S, B):
    n = len(points)
    cell = np.full(n, -1, np.int32)
    rng = np.zeros(n)
    h = np.zeros(n)
    lz = np.full(S * B, np.inf)
    ld = np.zeros(S * B)
    for i in range(n):
        x = float(points[i, 0])
        y = float(points[i, 1])
        r = np.sqrt(x * x + y * y)
        z = points[i, 2] - (level[0] * x + level[1] * y - level[2])
        rng[i] = r
        h[i] = z
        if r < rmin or r >= rmax:
            continue
        s = int((np.arctan2(y, x) + np.pi) / (2 * np.pi) * S)
        if s >= S:
            s = 0
        k = int((r - rmin) / (rmax - rmin) * B)
        c = s * B + min(k, B - 1)
        cell[i] = c
        if z < lz[c]:
            lz[c] = z
            ld[c] = r
    return cell, rng, h, lz, ld


@njit(cache=True)
def _fit(d, z, m):
    sx = 0.0
    sy = 0.0
    sxx = 0.0
    sxy = 0.0
    for i in range(m):
        sx += d[i]
        sy += z[i]
    mx = sx / m
    my = sy / m
    for i in range(m):
        sxx += (d[i] - mx) ** 2
        sxy += (d[i] - mx) * (z[i] - my)
    slope = sxy / sxx if sxx > 0 else 0.0
    off = my - slope * mx
    worst = 0.0
    for i in range(m):
        worst = max(worst, abs(z[i] - slope * d[i] - off))
    return slope, off, worst


@njit(cache=True)
def _lines(lz, ld, S, B, max_slope, max_fit, long_thr, gap_factor, max_long, max_start, start_slope):
    # lines[s, k] = start, end, slope, offset
    lines = np.zeros((S, B, 4))
    count = np.zeros(S, np.int64)
    d = np.empty(B)
    z = np.empty(B)
    for s in range(S):
        m = 0
        ground = 0.0
        gd = 0.0
        slope = 0.0
        off = 0.0
        for b in range(B):
            c = s * B + b
            if lz[c] == np.inf:
                continue
            nd = ld[c]
            nz = lz[c]
            again = True
            while again:
                again = False
                if m == 0:
                    if abs(nz - ground) < max_start + start_slope * (nd - gd):
                        d[0] = nd
                        z[0] = nz
                        m = 1
                    continue
                gap = nd - d[m - 1]
                limit = max(long_thr, gap_factor * d[m - 1] * d[m - 1])
                if m == 1:
                    sl = (nz - z[0]) / max(gap, 1e-6)
                    if gap < limit and abs(sl) <= max_slope and abs(nz - z[0]) < max_start + start_slope * gap:
                        d[1] = nd
                        z[1] = nz
                        m = 2
                        slope, off, w = _fit(d, z, 2)
                    else:
                        m = 0
                        again = True
                    continue
                if gap > limit and abs(nz - slope * nd - off) > max_long:
                    ok = False
                else:
                    d[m] = nd
                    z[m] = nz
                    sl, of, w = _fit(d, z, m + 1)
                    ok = w <= max_fit and abs(sl) <= max_slope
                if ok:
                    m += 1
                    slope = sl
                    off = of
                else:
                    if m >= 3:
                        k = count[s]
                        lines[s, k, 0] = d[0]
                        lines[s, k, 1] = d[m - 1]
                        lines[s, k, 2] = slope
                        lines[s, k, 3] = off
                        count[s] += 1
                        gd = d[m - 1]
                        ground = slope * gd + off
                        d[0] = gd
                        z[0] = z[m - 1]
                        m = 1
                    else:
                        d[0] = d[m - 1]
                        z[0] = z[m - 1]
                        m = 1
                    again = True
        if m >= 3:
            k = count[s]
            lines[s, k, 0] = d[0]
            lines[s, k, 1] = d[m - 1]
            lines[s, k, 2] = slope
            lines[s, k, 3] = off
            count[s] += 1
    return lines, count


@njit(cache=True)
def _table(lines, count, S, B, rmin, rmax, margin, reach, gap_factor):
    """Ground height at each cell's centre and slope; NaN where no line."""
    H = np.full((S, B), np.nan)
    L = np.zeros((S, B))
    w = (rmax - rmin) / B
    for s in range(S):
        for k in range(count[s]):
            lo = lines[s, k, 0]
            hi = lines[s, k, 1]
            for b in range(B):
                c = rmin + (b + 0.5) * w
                if c + w / 2 >= lo - margin and c - w / 2 <= hi + margin:
                    H[s, b] = lines[s, k, 2] * c + lines[s, k, 3]
                    L[s, b] = lines[s, k, 2]
    return H, L


@njit(cache=True)
def _fill(H, L, S, B, reach):
    F = H.copy()
    G = L.copy()
    for s in range(S):
        for b in range(B):
            if np.isnan(H[s, b]):
                for j in range(1, reach + 1):
                    u = H[(s + j) % S, b]
                    v = H[(s - j) % S, b]
                    if not np.isnan(u) and not np.isnan(v):
                        F[s, b] = (u + v) / 2
                        G[s, b] = (L[(s + j) % S, b] + L[(s - j) % S, b]) / 2
                        break
                    if not np.isnan(u):
                        F[s, b] = u
                        G[s, b] = L[(s + j) % S, b]
                        break
                    if not np.isnan(v):
                        F[s, b] = v
                        G[s, b] = L[(s - j) % S, b]
                        break
    return F, G


@njit(cache=True)
def _label(cell, rng, h, F, G, B, rmin, rmax, dist):
    n = len(cell)
    out = np.zeros(n, np.bool_)
    above = np.full(n, np.nan)
    w = (rmax - rmin) / B
    for i in range(n):
        c = cell[i]
        if c < 0:
            continue
        s = c // B
        b = c % B
        e = F[s, b] + G[s, b] * (rng[i] - (rmin + (b + 0.5) * w))
        above[i] = h[i] - e
        out[i] = above[i] < dist
    return out, above
