// The camera images: units as translucent masks with an outline, or points as dots, in the colours of the 3D scene.

const RIMMED = 140; // the opacity from which a mask has a rim too
const NEAR_DOT = 5; // pixels: near enough to mean a dot

class Views {
  constructor(model, rig, focus, events) {
    Object.assign(this, { rig, events, current: 0, hidden: new Set(), marks: [] });
    this.caption = focus.querySelector("figcaption");
    this.large = focus.querySelector("canvas");
    this.use(model);
    this.listen(this.large, () => this.current);
  }

  // Show another scene from now on; `load` has to follow.
  use(model) {
    this.model = model;
    this.bases = model.views.map((view) => canvasOf(view.width, view.height)); // the picture and the stage, no marks
    this.thumbs = model.views.map((view) => canvasOf(view.width, view.height));
    this.figures = model.views.map((view, number) => this.makeFigure(view, number));
    const columns = Math.max(1, ...model.views.map((view) => view.place[1] + 1));
    this.rig.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.rig.replaceChildren(...this.figures);
  }

  makeFigure(view, number) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    caption.textContent = view.title;
    figure.append(this.thumbs[number], caption);
    figure.style.gridArea = `${view.place[0] + 1} / ${view.place[1] + 1}`;
    this.listen(this.thumbs[number], () => number);
    return figure;
  }

  async load() {
    const loaded = new Map((this.images || []).map((image) => [image.src, image]));
    this.images = await Promise.all(this.model.views.map(async (view) => {
      if (loaded.has(view.image)) return loaded.get(view.image);
      const image = new Image();
      image.src = view.image;
      await image.decode();
      return image;
    }));
  }

  // Pointing at a pixel is pointing at the unit or cluster it shows, or whose dot is nearest.
  listen(canvas, which) {
    const group = (event) => {
      const view = this.model.views[which()], box = canvas.getBoundingClientRect();
      const x = Math.floor((event.clientX - box.left) / box.width * view.width);
      const y = Math.floor((event.clientY - box.top) / box.height * view.height);
      if (x < 0 || y < 0 || x >= view.width || y >= view.height) return () => -1;
      if (!view.bare) return (kind) => view.masks[kind][y * view.width + x];
      const row = this.dotAt(view, x, y);
      return (kind) => (row < 0 ? -1 : this.model.members[kind][row]);
    };
    canvas.addEventListener("mousemove", (event) => this.events.hover(group(event), event));
    canvas.addEventListener("mouseleave", () => this.events.hover(() => -1));
    canvas.addEventListener("click", (event) => this.events.click(group(event), which()));
  }

  // The point of the cloud whose dot is nearest to a pixel, or -1.
  dotAt(view, x, y) {
    let best = -1, least = NEAR_DOT ** 2;
    view.rows.forEach((row, i) => {
      const away = (view.uv[2 * i] - x) ** 2 + (view.uv[2 * i + 1] - y) ** 2;
      if (away < least) { least = away; best = row; }
    });
    return best;
  }

  setFocus(number) {
    this.current = number;
    this.figures.forEach((figure, i) => figure.setAttribute("aria-current", i === number));
    const view = this.model.views[number];
    Object.assign(this.large, { width: view.width, height: view.height });
    this.caption.textContent = view.title;
    this.copy(this.large, number);
  }

  // Every view's picture with the stage's tint or dots and the wireframes.
  draw(stage) {
    this.model.views.forEach((view, number) => {
      const pen = this.bases[number].getContext("2d");
      pen.drawImage(this.images[number], 0, 0);
      pen.drawImage(stage.kind ? this.tint(view, stage) : this.dots(view, stage), 0, 0);
      this.strokes(pen, view, stage);
    });
  }

  // Rims around the groups of `marks`, on what `draw` drew.
  mark(marks) {
    this.marks = marks;
    this.thumbs.forEach((canvas, number) => this.copy(canvas, number));
    this.copy(this.large, this.current);
  }

  copy(canvas, number) {
    const pen = canvas.getContext("2d"), view = this.model.views[number];
    pen.drawImage(this.bases[number], 0, 0);
    // A rim is as wide on a small image as on a large one.
    const scale = Math.min(3, view.width / Math.max(1, canvas.clientWidth));
    for (const { kind, number: group, colour } of this.marks) {
      if (view.bare) { this.markDots(pen, view, kind, group, colour, scale); continue; }
      const path = outline(view, kind, group);
      pen.lineCap = "round";
      pen.strokeStyle = "#000b"; pen.lineWidth = 4 * scale; pen.stroke(path);
      pen.strokeStyle = colour; pen.lineWidth = 2 * scale; pen.stroke(path);
    }
  }

  markDots(pen, view, kind, group, colour, scale) {
    const of = this.model.members[kind];
    for (const [fill, size] of [["#000b", 2.2 * scale], [colour, 1.4 * scale]]) {
      pen.fillStyle = fill;
      for (let i = 0; i < view.rows.length; i++) {
        if (of[view.rows[i]] === group) pen.fillRect(view.uv[2 * i] - size, view.uv[2 * i + 1] - size, 2 * size, 2 * size);
      }
    }
  }

  layer(view) {
    if (!this.scratch || this.scratch.width !== view.width || this.scratch.height !== view.height) this.scratch = canvasOf(view.width, view.height);
    this.scratch.getContext("2d").clearRect(0, 0, view.width, view.height);
    return this.scratch;
  }

  tint(view, stage) {
    const canvas = this.layer(view), pen = canvas.getContext("2d"), pixels = pen.createImageData(view.width, view.height);
    const out = new Uint32Array(pixels.data.buffer), mask = view.masks[stage.kind], tint = new Uint32Array(stage.tint.slice().buffer);
    const width = view.width, last = mask.length - width;
    for (let at = 0; at < mask.length; at++) {
      const group = mask[at];
      if (group < 0) continue;
      const rim = (at % width && mask[at - 1] !== group) || (at >= width && mask[at - width] !== group)
        || ((at + 1) % width && mask[at + 1] !== group) || (at < last && mask[at + width] !== group);
      out[at] = rim && (tint[group] >>> 24) >= RIMMED ? (tint[group] | 0xff000000) >>> 0 : tint[group];
    }
    pen.putImageData(pixels, 0, 0);
    return canvas;
  }

  dots(view, stage) {
    const canvas = this.layer(view), pen = canvas.getContext("2d"), code = new Int16Array(this.model.x.length);
    const dot = (i, size) => { pen.beginPath(); pen.arc(view.uv[2 * i], view.uv[2 * i + 1], size, 0, 6.3); pen.fill(); };
    for (const name of stage.layers) {
      const layer = this.model.layers.get(name);
      if (layer.line || !layer.on_images || this.hidden.has(name)) continue;
      code.fill(-1);
      layer.rows.forEach((row, i) => { code[row] = layer.code[i]; });
      const quiet = layer.emphasis === "quiet", marker = layer.emphasis === "marker", size = marker ? 2.6 : quiet ? 1.1 : 1.7;
      pen.globalAlpha = quiet ? 0.45 : 0.95;
      for (let i = 0; i < view.rows.length; i++) {
        const colour = code[view.rows[i]];
        if (colour < 0) continue;
        if (marker) { pen.fillStyle = "#000a"; dot(i, size + 1); }
        pen.fillStyle = css(layer.colours[colour]);
        dot(i, size);
      }
    }
    pen.globalAlpha = 1;
    return canvas;
  }

  strokes(pen, view, stage) {
    for (const name of stage.layers) {
      const at = view.strokes[name];
      if (!at || this.hidden.has(name)) continue;
      pen.beginPath();
      for (let i = 0; i < at.length; i += 2) {
        if (Number.isNaN(at[i])) continue;
        if (i === 0 || Number.isNaN(at[i - 2])) pen.moveTo(at[i], at[i + 1]); else pen.lineTo(at[i], at[i + 1]);
      }
      pen.strokeStyle = "#0006"; pen.lineWidth = 2.4; pen.stroke();
      pen.globalAlpha = 0.75; pen.strokeStyle = css(this.model.layers.get(name).colour); pen.lineWidth = 1; pen.stroke();
      pen.globalAlpha = 1;
    }
  }

  // What a unit looks like: the piece of the picture that shows most of it, untinted, with its rim.
  crop(unit, canvas) {
    const number = this.model.bestView(unit);
    if (number < 0) return false;
    const view = this.model.views[number], { low, high } = view.bounds.unit, aspect = canvas.width / canvas.height;
    const [left, top, right, bottom] = [low[2 * unit], low[2 * unit + 1], high[2 * unit] + 1, high[2 * unit + 1] + 1];
    let height = Math.max((bottom - top) * 1.35, (right - left) * 1.35 / aspect, 36), width = height * aspect;
    if (width > view.width) { width = view.width; height = width / aspect; }
    if (height > view.height) { height = view.height; width = height * aspect; }
    const x = Math.min(Math.max(0, (left + right - width) / 2), view.width - width);
    const y = Math.min(Math.max(0, (top + bottom - height) / 2), view.height - height);
    const pen = canvas.getContext("2d"), zoom = canvas.width / width;
    pen.drawImage(this.images[number], x, y, width, height, 0, 0, canvas.width, canvas.height);
    pen.setTransform(zoom, 0, 0, zoom, -x * zoom, -y * zoom);
    const path = outline(view, "unit", unit);
    pen.strokeStyle = "#0009"; pen.lineWidth = 3.4 / zoom; pen.stroke(path);
    pen.strokeStyle = "#fff"; pen.lineWidth = 1.5 / zoom; pen.stroke(path);
    return true;
  }
}

const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

// The edges between the pixels of a group and all others.
function outline(view, kind, group) {
  const path = new Path2D(), { width, height } = view, mask = view.masks[kind], { area, low, high } = view.bounds[kind];
  if (!area[group]) return path;
  for (let y = low[2 * group + 1]; y <= high[2 * group + 1]; y++) {
    for (let x = low[2 * group], at = y * width + x; x <= high[2 * group]; x++, at++) {
      if (mask[at] !== group) continue;
      if (x === 0 || mask[at - 1] !== group) { path.moveTo(x, y); path.lineTo(x, y + 1); }
      if (x === width - 1 || mask[at + 1] !== group) { path.moveTo(x + 1, y); path.lineTo(x + 1, y + 1); }
      if (y === 0 || mask[at - width] !== group) { path.moveTo(x, y); path.lineTo(x + 1, y); }
      if (y === height - 1 || mask[at + width] !== group) { path.moveTo(x, y + 1); path.lineTo(x + 1, y + 1); }
    }
  }
  return path;
}
