// The camera images: units as translucent masks with an outline, or points as dots, in the colours of the 3D scene.

const RIMMED = 140; // the opacity from which a mask has a rim too

class Views {
  constructor(model, rig, focus, events) {
    Object.assign(this, { model, focus, events, current: 0, hidden: new Set() });
    this.canvases = model.views.map((view) => Object.assign(document.createElement("canvas"), { width: view.width, height: view.height }));
    this.figures = model.views.map((view, number) => this.makeFigure(view, number, rig));
    const columns = Math.max(1, ...model.views.map((view) => view.place[1] + 1));
    rig.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.point(focus.querySelector("canvas"), () => this.current);
  }

  makeFigure(view, number, rig) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    caption.textContent = view.title;
    figure.append(this.canvases[number], caption);
    figure.style.gridArea = `${view.place[0] + 1} / ${view.place[1] + 1}`;
    this.point(this.canvases[number], () => number);
    rig.append(figure);
    return figure;
  }

  async load() {
    this.images = await Promise.all(this.model.views.map((view) => new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.src = view.image;
    })));
  }

  // Pointing at a pixel is pointing at the unit or cluster it shows.
  point(canvas, which) {
    const row = (event) => {
      const view = this.model.views[which()], box = canvas.getBoundingClientRect();
      const x = Math.floor((event.clientX - box.left) / box.width * view.width);
      const y = Math.floor((event.clientY - box.top) / box.height * view.height);
      return (kind) => (x < 0 || y < 0 || x >= view.width || y >= view.height ? -1 : view.masks[kind][y * view.width + x]);
    };
    canvas.addEventListener("mousemove", (event) => this.events.hover(row(event)));
    canvas.addEventListener("mouseleave", () => this.events.hover(() => -1));
    canvas.addEventListener("click", (event) => this.events.click(row(event), which()));
  }

  setFocus(number) {
    this.current = number;
    this.figures.forEach((figure, i) => figure.setAttribute("aria-current", i === number));
    this.drawFocus();
  }

  // Draws every view: the picture, the stage's tint or dots, the wireframes, and a rim around `marked` groups.
  draw(stage, marked) {
    this.model.views.forEach((view, number) => {
      const pen = this.canvases[number].getContext("2d");
      pen.drawImage(this.images[number], 0, 0);
      const overlay = stage.kind ? this.tint(view, stage) : this.dots(view, stage);
      pen.drawImage(overlay, 0, 0);
      this.strokes(pen, view, stage);
      for (const mark of marked) this.rim(pen, view, mark);
    });
    this.drawFocus();
  }

  drawFocus() {
    const view = this.model.views[this.current], canvas = this.focus.querySelector("canvas");
    if (!view) return;
    if (canvas.width !== view.width || canvas.height !== view.height) Object.assign(canvas, { width: view.width, height: view.height });
    canvas.getContext("2d").drawImage(this.canvases[this.current], 0, 0);
    this.focus.querySelector("figcaption").textContent = view.title;
  }

  layer(view) {
    if (!this.scratch || this.scratch.width !== view.width || this.scratch.height !== view.height) {
      this.scratch = Object.assign(document.createElement("canvas"), { width: view.width, height: view.height });
    }
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
      const rim = (at % width && mask[at - 1] !== group) || (at >= width && mask[at - width] !== group) || mask[at + 1] !== group || (at < last && mask[at + width] !== group);
      out[at] = rim && (tint[group] >>> 24) >= RIMMED ? (tint[group] | 0xff000000) >>> 0 : tint[group];
    }
    pen.putImageData(pixels, 0, 0);
    return canvas;
  }

  dots(view, stage) {
    const canvas = this.layer(view), pen = canvas.getContext("2d"), code = new Int32Array(this.model.x.length);
    for (const name of stage.layers) {
      const layer = this.model.layers.get(name);
      if (layer.line || !layer.on_images || this.hidden.has(name)) continue;
      code.fill(-1);
      layer.rows.forEach((row, i) => { code[row] = layer.code[i]; });
      const quiet = layer.emphasis === "quiet", size = layer.emphasis === "marker" ? 2.6 : quiet ? 1.1 : 1.7;
      pen.globalAlpha = quiet ? 0.45 : 0.95;
      for (let i = 0; i < view.rows.length; i++) {
        const colour = code[view.rows[i]];
        if (colour < 0) continue;
        if (layer.emphasis === "marker") { pen.fillStyle = "#000a"; pen.beginPath(); pen.arc(view.uv[2 * i], view.uv[2 * i + 1], size + 1, 0, 6.3); pen.fill(); }
        pen.fillStyle = css(layer.colours[colour]);
        pen.beginPath(); pen.arc(view.uv[2 * i], view.uv[2 * i + 1], size, 0, 6.3); pen.fill();
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
      pen.strokeStyle = "#0008"; pen.lineWidth = 2.6; pen.stroke();
      pen.strokeStyle = css(this.model.layers.get(name).colour); pen.lineWidth = 1.1; pen.stroke();
    }
  }

  rim(pen, view, { kind, number, colour }) {
    const mask = view.masks[kind], width = view.width, path = new Path2D();
    let any = false;
    for (let at = 0; at < mask.length; at++) {
      if (mask[at] !== number) continue;
      any = true;
      const x = at % width, y = (at - x) / width;
      if (x === 0 || mask[at - 1] !== number) { path.moveTo(x, y); path.lineTo(x, y + 1); }
      if (x === width - 1 || mask[at + 1] !== number) { path.moveTo(x + 1, y); path.lineTo(x + 1, y + 1); }
      if (y === 0 || mask[at - width] !== number) { path.moveTo(x, y); path.lineTo(x + 1, y); }
      if (y === view.height - 1 || mask[at + width] !== number) { path.moveTo(x, y + 1); path.lineTo(x + 1, y + 1); }
    }
    if (!any) return;
    pen.lineCap = "round";
    pen.strokeStyle = "#000a"; pen.lineWidth = 4; pen.stroke(path);
    pen.strokeStyle = colour; pen.lineWidth = 2; pen.stroke(path);
  }

  // What a unit looks like: a piece of the picture that shows most of it, untinted, with its rim.
  crop(unit, canvas) {
    const number = this.model.bestView(unit);
    if (number < 0) return false;
    const view = this.model.views[number], { low, high } = this.model.boxes[number], aspect = canvas.width / canvas.height;
    const wide = high[2 * unit] - low[2 * unit] + 1, tall = high[2 * unit + 1] - low[2 * unit + 1] + 1;
    let height = Math.max(tall * 1.35, wide * 1.35 / aspect, 36), width = height * aspect;
    if (width > view.width) { width = view.width; height = width / aspect; }
    if (height > view.height) { height = view.height; width = height * aspect; }
    const left = Math.min(Math.max(0, low[2 * unit] + wide / 2 - width / 2), view.width - width);
    const top = Math.min(Math.max(0, low[2 * unit + 1] + tall / 2 - height / 2), view.height - height);
    const pen = canvas.getContext("2d");
    pen.drawImage(this.images[number], left, top, width, height, 0, 0, canvas.width, canvas.height);
    pen.setTransform(canvas.width / width, 0, 0, canvas.height / height, -left * canvas.width / width, -top * canvas.height / height);
    const mask = view.masks.unit, path = new Path2D();
    for (let y = low[2 * unit + 1]; y <= high[2 * unit + 1]; y++) for (let x = low[2 * unit]; x <= high[2 * unit]; x++) {
      const at = y * view.width + x;
      if (mask[at] !== unit) continue;
      if (x === 0 || mask[at - 1] !== unit) { path.moveTo(x, y); path.lineTo(x, y + 1); }
      if (mask[at + 1] !== unit) { path.moveTo(x + 1, y); path.lineTo(x + 1, y + 1); }
      if (y === 0 || mask[at - view.width] !== unit) { path.moveTo(x, y); path.lineTo(x + 1, y); }
      if (mask[at + view.width] !== unit) { path.moveTo(x, y + 1); path.lineTo(x + 1, y + 1); }
    }
    pen.lineWidth = 1.6 * width / canvas.width; pen.strokeStyle = "#fff"; pen.stroke(path);
    return true;
  }
}
