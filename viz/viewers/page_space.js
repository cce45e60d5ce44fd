// The one 3D scene. A stage is a set of traces; what is pointed at gets a halo on a canvas above it, so that pointing
// never draws the cloud again.

const MOST_DOTS = 2500; // of a halo
const TOUCH = 3, REACH = 12, DRAG = 4; // pixels: on a point, near enough to mean it, and moved too far for a click
const NEAR_LINE = 5; // pixels: near enough to mean a line

const css = ([r, g, b]) => `rgb(${r},${g},${b})`;

class Space {
  constructor(model, element, halo, events) {
    // Whether there is 3D at all: known when it was tried. (A context only to see would cost a slow machine half a second.)
    Object.assign(this, { element, halo, events, hidden: new Set(), shown: [], glow: [], works: true });
    this.use(model);
  }

  // Show another scene from now on; the camera keeps its place in metres.
  use(model) {
    this.model = model;
    this.reach = [model.x, model.y, model.z].map((values) => reachOf(values));
    this.middle = middleOf(model);
  }

  camera(look) {
    const [fx, fy] = this.model.scene.forward, floor = this.model.scene.floor / this.model.scene.looks.metres, up = { x: 0, y: 0, z: 1 };
    if (look === "above") {
      const { x, y } = this.middle;
      return { eye: { x: x - fx * 0.01, y: y - fy * 0.01, z: 4.4 }, center: { x, y, z: 0 }, up: { x: fx, y: fy, z: 0 } };
    }
    if (look === "unit") return { ...this.before(this.model.unit), up };
    // A low, wide window shows less of the height of things: go nearer.
    const near = Math.min(1.1, Math.max(0.6, this.element.clientHeight / 640)), back = 1.05 * near, ahead = 0.55, high = 0.55 * near;
    return { eye: { x: -fx * back, y: -fy * back, z: floor + high }, center: { x: fx * ahead, y: fy * ahead, z: floor }, up };
  }

  // From the vehicle's side and a little above, so near that the unit fills a third of the window.
  before(unit) {
    const { metres } = this.model.scene.looks, rows = this.model.pointsOf("unit", unit), [x, y, z] = ["x", "y", "z"].map((axis) => {
      let low = Infinity, high = -Infinity;
      for (const row of rows) { low = Math.min(low, this.model[axis][row]); high = Math.max(high, this.model[axis][row]); }
      return { middle: (low + high) / 2 / metres, size: (high - low) / metres };
    });
    const away = Math.max(0.25, 2.2 * Math.hypot(x.size, y.size, z.size)), distance = Math.hypot(x.middle, y.middle) || 1;
    return {
      center: { x: x.middle, y: y.middle, z: z.middle },
      eye: { x: x.middle - x.middle / distance * away, y: y.middle - y.middle / distance * away, z: z.middle + away * 0.5 },
    };
  }

  layout(look) {
    const axis = (reach) => ({ visible: false, range: [-reach, reach], autorange: false, showspikes: false });
    const [x, y, z] = this.reach, { back, metres } = this.model.scene.looks;
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: css(back), showlegend: false, hovermode: false, uirevision: "stay",
      scene: {
        hovermode: false,
        bgcolor: css(back), xaxis: axis(x), yaxis: axis(y), zaxis: axis(z), aspectmode: "manual", dragmode: dragOf(look),
        aspectratio: { x: 2 * x / metres, y: 2 * y / metres, z: 2 * z / metres }, camera: this.camera(look), uirevision: "stay",
      },
    };
  }

  trace(layer) {
    const { x, y, z } = this.model;
    if (layer.line) {
      const { size, fade } = this.model.look(layer);
      const every = (offset) => Float32Array.from({ length: layer.points.length / 3 }, (_, i) => layer.points[3 * i + offset]);
      return {
        type: "scatter3d", mode: "lines", x: every(0), y: every(1), z: every(2), connectgaps: false, hoverinfo: "skip",
        line: { color: css(this.model.faded(layer.colour, fade)), width: size },
      };
    }
    const { size, fade } = this.model.look(layer), pick = (values) => Float32Array.from(layer.rows, (row) => values[row]);
    const colours = layer.colours.map((colour) => css(this.model.faded(colour, fade)));
    const marker = colours.length === 1 ? { color: colours[0] } : {
      color: layer.code, cmin: 0, cmax: colours.length - 1, showscale: false,
      colorscale: colours.map((colour, i) => [i / (colours.length - 1), colour]),
    };
    return {
      type: "scatter3d", mode: "markers", x: pick(x), y: pick(y), z: pick(z), hoverinfo: "skip",
      // Plotly draws a disc with some thirty triangles, a square with two; what is quiet is too small to tell them apart.
      marker: { ...marker, symbol: layer.emphasis === "quiet" ? "square" : "circle", size, line: { width: 0 }, opacity: 1 },
    };
  }

  async show(stage, look) {
    if (!this.works) return;
    this.kind = stage.kind || "unit";
    this.shown = stage.layers.map((name) => this.model.layers.get(name)).filter((layer) => !this.hidden.has(layer.name));
    const traces = this.shown.map((layer) => this.trace(layer)), options = { displayModeBar: false, scrollZoom: true };
    if (this.drawn) {
      // The camera stays where the hand left it.
      this.drawn.scene = { ...this.layout("behind").scene, ...this.held() };
      await Plotly.react(this.element, traces, this.drawn, options);
      this.dropPicking();
      return;
    }
    this.drawn = this.layout(look);
    try { await Plotly.newPlot(this.element, traces, this.drawn, options); } catch (error) { console.warn(error); }
    const canvas = this.element.querySelector("canvas");
    this.works = Boolean(canvas && canvas.getContext("webgl"));
    if (!this.works) { Plotly.purge(this.element); return; }
    this.dropPicking();
    this.listen();
  }

  // Plotly draws every picture a second time, to find what is pointed at; here that is found without (see `pick`). It
  // does not document its scene: where there is none of that name, things are only slower.
  dropPicking() {
    const scene = this.element._fullLayout && this.element._fullLayout.scene && this.element._fullLayout.scene._scene;
    for (const thing of (scene && scene.glplot && scene.glplot.objects) || []) if (thing.drawPick) thing.drawPick = null;
  }

  held() {
    const { camera, dragmode } = this.element.layout.scene;
    return { camera, dragmode };
  }

  listen() {
    const at = (event) => {
      const box = this.halo.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const row = (event) => this.pick(...at(event));
    const point = (event) => {
      const found = row(event);
      this.events.hover(found);
      if (found < 0) this.events.label(this.labelAt(...at(event)), event);
    };
    let pressed = null;
    const dragged = (event) => pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > DRAG;
    this.element.addEventListener("mousemove", (event) => { if (!event.buttons) point(event); });
    this.element.addEventListener("mouseleave", () => this.events.hover(-1));
    this.element.addEventListener("pointerdown", (event) => { pressed = event; }, true);
    this.element.addEventListener("click", (event) => { if (!dragged(event)) this.events.click(row(event)); }, true);
    const size = () => `${this.element.clientWidth} x ${this.element.clientHeight}`;
    let drawnAt = size();
    new ResizeObserver(() => {
      if (size() === drawnAt || !this.element.clientWidth) return;
      drawnAt = size();
      Plotly.Plots.resize(this.element);
    }).observe(this.element);
    const follow = () => { this.drawHalo(); requestAnimationFrame(follow); };
    requestAnimationFrame(follow);
  }

  // The point that is meant at a place of the window: of those of the stage's units or clusters within reach the nearest
  // to it, a nearer one to the eye before one behind it. (Plotly's own picking reads pixels back from the graphics card,
  // and misses quick clicks.)
  pick(u, v) {
    const view = this.matrices();
    if (!view) return -1;
    const { x, y, z } = this.model, of = this.model.members[this.kind], width = this.halo.clientWidth, height = this.halo.clientHeight;
    let best = -1, least = Infinity;
    for (const layer of this.shown) {
      if (layer.line) continue;
      for (const row of layer.rows) {
        if (of[row] < 0) continue;
        const at = view.project(x[row], y[row], z[row]);
        if (!at) continue;
        const away = Math.hypot((at[0] + 1) / 2 * width - u, (1 - at[1]) / 2 * height - v);
        const score = Math.max(away - TOUCH, 0) + at[2] * 0.01;
        if (away < REACH && score < least) { least = score; best = row; }
      }
    }
    return best;
  }

  // What the line nearest to a place of the window stands for, as a labelled box for its class; empty where none is near.
  labelAt(u, v) {
    const view = this.matrices(), width = this.halo.clientWidth, height = this.halo.clientHeight;
    let least = NEAR_LINE, words = "";
    for (const layer of view ? this.shown : []) {
      if (!layer.line || !layer.words.length) continue;
      let before = null, stroke = 0;
      for (let i = 0; i < layer.points.length; i += 3) {
        const [x, y, z] = layer.points.subarray(i, i + 3), at = Number.isNaN(x) ? null : view.project(x, y, z);
        if (Number.isNaN(x)) stroke++;
        const end = at && [(at[0] + 1) / 2 * width, (1 - at[1]) / 2 * height], away = before && end ? distanceTo(before, end, u, v) : Infinity;
        if (away < least) { least = away; words = layer.words[stroke]; }
        before = end;
      }
    }
    return words;
  }

  look(name) {
    const chosen = this.model.unit, nowhere = chosen < 0 || !this.model.pointsOf("unit", chosen).length;
    if (!this.works || (name === "unit" && nowhere)) return Promise.resolve();
    return Plotly.relayout(this.element, { "scene.camera": this.camera(name), "scene.dragmode": dragOf(name) });
  }

  // `groups` is a list of { rows, colour, title }.
  glowOn(groups) { this.glow = groups; this.stale = true; }

  drawHalo() {
    const view = this.matrices();
    if (!view) return;
    const stamp = view.stamp + this.halo.clientWidth + "x" + this.halo.clientHeight;
    if (!this.stale && stamp === this.stamp) return;
    this.stale = false; this.stamp = stamp;
    const ratio = window.devicePixelRatio || 1, width = this.halo.clientWidth, height = this.halo.clientHeight;
    this.halo.width = width * ratio; this.halo.height = height * ratio;
    const pen = this.halo.getContext("2d");
    pen.scale(ratio, ratio);
    for (const group of this.glow) this.drawGroup(pen, view, group, width, height);
  }

  drawGroup(pen, view, group, width, height) {
    const { x, y, z } = this.model, dots = [], step = Math.ceil(group.rows.length / MOST_DOTS);
    let top = Infinity, left = Infinity, right = -Infinity;
    for (let i = 0; i < group.rows.length; i += step) {
      const row = group.rows[i], at = view.project(x[row], y[row], z[row]);
      if (!at) continue;
      const u = (at[0] + 1) / 2 * width, v = (1 - at[1]) / 2 * height;
      if (u < -9 || v < -9 || u > width + 9 || v > height + 9) continue;
      dots.push(u, v);
      left = Math.min(left, u); right = Math.max(right, u); top = Math.min(top, v);
    }
    if (!dots.length) return;
    for (const [size, colour] of [[4.6, "#0b0e13"], [3.6, group.rim], [2.3, group.colour]]) {
      pen.fillStyle = colour; pen.beginPath();
      for (let i = 0; i < dots.length; i += 2) { pen.moveTo(dots[i] + size, dots[i + 1]); pen.arc(dots[i], dots[i + 1], size, 0, 6.3); }
      pen.fill();
    }
    if (!group.title) return;
    pen.font = "600 12.5px Inter, Segoe UI, Liberation Sans, Arial, sans-serif";
    const room = width - 28, fitted = fit(pen, group.title, room), wide = pen.measureText(fitted).width + 16;
    const from = Math.max(6, Math.min(width - wide - 6, (left + right - wide) / 2)), above = Math.max(6, Math.min(height - 30, top - 34));
    pen.fillStyle = "#0b0e13e6"; pen.beginPath(); pen.roundRect(from, above, wide, 24, 6); pen.fill();
    pen.fillStyle = "#fff"; pen.textBaseline = "middle"; pen.fillText(fitted, from + 8, above + 12.5);
  }

  // Plotly's own matrices of the moment. It does not document them, so without them there is simply no halo.
  matrices() {
    const scene = this.element._fullLayout && this.element._fullLayout.scene && this.element._fullLayout.scene._scene;
    const camera = scene && scene.glplot && scene.glplot.cameraParams;
    if (!camera || !camera.projection || !scene.dataScale) return null;
    const all = multiply(camera.projection, multiply(camera.view, camera.model)), [sx, sy, sz] = scene.dataScale;
    const project = (x, y, z) => {
      const px = x * sx, py = y * sy, pz = z * sz, w = all[3] * px + all[7] * py + all[11] * pz + all[15];
      if (w <= 0) return null;
      return [(all[0] * px + all[4] * py + all[8] * pz + all[12]) / w, (all[1] * px + all[5] * py + all[9] * pz + all[13]) / w, w];
    };
    return { project, stamp: Array.from(all, (value) => value.toFixed(4)).join() };
  }
}

// From (u, v) to the segment between two places, in pixels.
function distanceTo([u0, v0], [u1, v1], u, v) {
  const du = u1 - u0, dv = v1 - v0, share = Math.max(0, Math.min(1, ((u - u0) * du + (v - v0) * dv) / Math.max(du * du + dv * dv, 1e-9)));
  return Math.hypot(u0 + share * du - u, v0 + share * dv - v);
}

// Seen from above nothing is up, so the scene turns freely.
const dragOf = (look) => (look === "above" ? "orbit" : "turntable");

// Symmetric about the sensor, so that the camera turns around the vehicle.
function reachOf(values) {
  let most = 1;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most * 1.01;
}

// Where the units are, seen from above, in Plotly's units; never far from the sensor.
function middleOf({ x, y, members, scene }) {
  let points = 0, sumX = 0, sumY = 0;
  members.unit.forEach((unit, row) => { if (unit >= 0) { points++; sumX += x[row]; sumY += y[row]; } });
  const scale = 1 / Math.max(1, points) / scene.looks.metres, away = Math.hypot(sumX, sumY) * scale, shorten = Math.min(1, 1 / Math.max(away, 1e-6));
  return { x: sumX * scale * shorten, y: sumY * scale * shorten };
}

// As many of a title's parts as there is room for.
function fit(pen, title, room) {
  const parts = title.split(" · ");
  while (parts.length > 1 && pen.measureText(parts.join(" · ")).width > room) parts.pop();
  return parts.join(" · ");
}

// Column-major 4 x 4, as WebGL has them.
function multiply(a, b) {
  const product = new Float64Array(16);
  for (let column = 0; column < 4; column++) for (let row = 0; row < 4; row++) {
    let sum = 0;
    for (let i = 0; i < 4; i++) sum += a[4 * i + row] * b[4 * column + i];
    product[4 * column + row] = sum;
  }
  return product;
}
