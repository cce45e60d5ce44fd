// The one 3D scene. A stage is a set of traces; what is pointed at gets a halo on a canvas above it, so that pointing
// never draws the cloud again.

const BACK = [17, 21, 28];
const LOOKS = { quiet: { size: 1.3, mix: 0.62 }, plain: { size: 2.0, mix: 0 }, strong: { size: 2.7, mix: 0 }, marker: { size: 3.2, mix: 0 } };
const METRES = 20; // of the world in one unit of Plotly's scene

const css = ([r, g, b]) => `rgb(${r},${g},${b})`;
const mixed = (colour, share) => colour.map((value, i) => Math.round(value * (1 - share) + BACK[i] * share));

class Space {
  constructor(model, element, halo, events) {
    Object.assign(this, { model, element, halo, events, hidden: new Set(), traces: [], glow: [] });
    this.reach = [0, 1, 2].map((axis) => this.extent([model.x, model.y, model.z][axis]));
  }

  // Symmetric about the sensor, so that the camera turns around the vehicle.
  extent(values) {
    let most = 1;
    for (const value of values) most = Math.max(most, Math.abs(value));
    return most * 1.01;
  }

  camera(look) {
    const [fx, fy] = this.model.scene.forward, floor = this.model.scene.floor / METRES;
    if (look === "above") return { eye: { x: -fx * 0.01, y: -fy * 0.01, z: 4.4 }, center: { x: 0, y: 0, z: 0 }, up: { x: fx, y: fy, z: 0 } };
    // A low, wide window shows less of the height of things: go nearer.
    const near = Math.min(1.1, Math.max(0.6, this.element.clientHeight / 640)), back = 1.1 * near, ahead = 0.45, up = 0.62 * near;
    return {
      eye: { x: -fx * back, y: -fy * back, z: floor + up },
      center: { x: fx * ahead, y: fy * ahead, z: floor }, up: { x: 0, y: 0, z: 1 },
    };
  }

  layout(look) {
    const axis = (reach) => ({ visible: false, range: [-reach, reach], autorange: false, showspikes: false });
    const [x, y, z] = this.reach;
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: css(BACK), showlegend: false, hovermode: "closest", uirevision: "stay",
      scene: {
        bgcolor: css(BACK), xaxis: axis(x), yaxis: axis(y), zaxis: axis(z), aspectmode: "manual", dragmode: look === "above" ? "orbit" : "turntable",
        aspectratio: { x: 2 * x / METRES, y: 2 * y / METRES, z: 2 * z / METRES }, camera: this.camera(look), uirevision: "stay",
      },
    };
  }

  trace(layer) {
    const look = LOOKS[layer.emphasis], { x, y, z } = this.model;
    if (layer.line) {
      const every = (offset) => Float32Array.from({ length: layer.points.length / 3 }, (_, i) => layer.points[3 * i + offset]);
      return {
        type: "scatter3d", mode: "lines", x: every(0), y: every(1), z: every(2), connectgaps: false, hoverinfo: "skip",
        line: { color: css(mixed(layer.colour, look.mix)), width: layer.emphasis === "quiet" ? 1 : 1.6 },
      };
    }
    const pick = (values) => Float32Array.from(layer.rows, (row) => values[row]);
    const colours = layer.colours.map((colour) => css(mixed(colour, look.mix)));
    const single = colours.length === 1;
    const marker = single ? { color: colours[0] } : {
      color: layer.code, cmin: 0, cmax: colours.length - 1, showscale: false,
      colorscale: colours.map((colour, i) => [i / (colours.length - 1), colour]),
    };
    return {
      type: "scatter3d", mode: "markers", x: pick(x), y: pick(y), z: pick(z), hoverinfo: "none",
      marker: { ...marker, size: look.size, line: { width: 0 }, opacity: 1 },
    };
  }

  show(stage, look) {
    this.shown = stage.layers.map((name) => this.model.layers.get(name)).filter((layer) => !this.hidden.has(layer.name));
    const layout = look || !this.drawn ? this.layout(look || "behind") : this.drawn;
    if (!look && this.drawn) layout.scene.camera = this.element.layout.scene.camera;
    const done = Plotly.react(this.element, this.shown.map((layer) => this.trace(layer)), layout, { displayModeBar: false, scrollZoom: true, responsive: true });
    if (!this.drawn) this.listen();
    this.drawn = layout;
    return done;
  }

  listen() {
    const row = (event) => {
      const point = event.points && event.points[0], layer = point && this.shown[point.curveNumber];
      return layer && !layer.line ? layer.rows[point.pointNumber] : -1;
    };
    this.element.on("plotly_hover", (event) => this.events.hover(row(event)));
    this.element.on("plotly_unhover", () => this.events.hover(-1));
    this.element.on("plotly_click", (event) => this.events.click(row(event)));
    const follow = () => { this.drawHalo(); requestAnimationFrame(follow); };
    requestAnimationFrame(follow);
  }

  look(name) {
    return Plotly.relayout(this.element, { "scene.camera": this.camera(name), "scene.dragmode": name === "above" ? "orbit" : "turntable" });
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
    const { x, y, z } = this.model, dots = [];
    let top = Infinity, sum = 0;
    for (const row of group.rows) {
      const at = view.project(x[row], y[row], z[row]);
      if (!at) continue;
      const u = (at[0] + 1) / 2 * width, v = (1 - at[1]) / 2 * height;
      dots.push(u, v); sum += u; top = Math.min(top, v);
    }
    if (!dots.length) return;
    for (const [size, colour] of [[4.6, "#0b0e13"], [3.6, "#ffffff"], [2.3, group.colour]]) {
      pen.fillStyle = colour;
      for (let i = 0; i < dots.length; i += 2) { pen.beginPath(); pen.arc(dots[i], dots[i + 1], size, 0, 6.3); pen.fill(); }
    }
    if (!group.title) return;
    pen.font = "600 12.5px Inter, Segoe UI, Liberation Sans, Arial, sans-serif";
    const wide = pen.measureText(group.title).width + 16, middle = sum / (dots.length / 2);
    const left = Math.max(6, Math.min(width - wide - 6, middle - wide / 2)), above = Math.max(6, Math.min(height - 30, top - 34));
    pen.fillStyle = "#0b0e13e6"; pen.beginPath(); pen.roundRect(left, above, wide, 24, 6); pen.fill();
    pen.fillStyle = "#fff"; pen.textBaseline = "middle"; pen.fillText(group.title, left + 8, above + 12.5);
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
      return [(all[0] * px + all[4] * py + all[8] * pz + all[12]) / w, (all[1] * px + all[5] * py + all[9] * pz + all[13]) / w];
    };
    return { project, stamp: Array.from(all, (value) => value.toFixed(4)).join() };
  }
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
