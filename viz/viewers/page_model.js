// What the page shows: the scene's arrays, decoded, and the similarity of any unit to all others.

const KINDS = { i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array, f4: Float32Array };
const NOT_CHOSEN = -1;

function decode(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new KINDS[packed.kind](bytes.buffer);
}

function decodeRuns(runs, count) {
  const value = decode(runs.value), length = decode(runs.length), mask = new Int32Array(count);
  for (let run = 0, at = 0; run < value.length; at += length[run++]) mask.fill(value[run], at, at + length[run]);
  return mask;
}

class Model {
  // `pictures` are those shown before, by camera: a scene of the same frame comes without.
  constructor(scene, pictures = new Map()) {
    this.scene = scene;
    const cloud = decode(scene.cloud.array), step = scene.cloud.step, count = cloud.length / 3;
    this.x = new Float32Array(count); this.y = new Float32Array(count); this.z = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      this.x[i] = cloud[3 * i] * step; this.y[i] = cloud[3 * i + 1] * step; this.z[i] = cloud[3 * i + 2] * step;
    }
    this.members = { cluster: decode(scene.members.cluster), unit: decode(scene.members.unit) };
    this.words = scene.words;
    this.layers = new Map(scene.layers.map((layer) => [layer.name, this.readLayer(layer)]));
    this.stages = scene.stages.map((stage) => ({ ...stage, tint: decode(stage.tint) }));
    this.views = scene.views.map((view) => this.readView({ ...view, image: view.image || pictures.get(view.name) }));
    this.unit = NOT_CHOSEN;
    if (scene.similarities) this.similar = { ...scene.similarities, features: decode(scene.similarities.features) };
  }

  readLayer(layer) {
    if (layer.points) return { ...layer, line: true, points: decode(layer.points) };
    return { ...layer, rows: layer.rows ? decode(layer.rows) : this.allRows(), code: decode(layer.code) };
  }

  allRows() {
    return Uint32Array.from({ length: this.x.length }, (_, i) => i);
  }

  readView(view) {
    const [width, height] = view.size, masks = {}, strokes = {}, bounds = {};
    for (const kind in view.masks) {
      masks[kind] = decodeRuns(view.masks[kind], width * height);
      bounds[kind] = boundsOf(masks[kind], width, height, this.words[kind].length);
    }
    for (const name in view.strokes) strokes[name] = decode(view.strokes[name]);
    const bare = !Object.values(bounds).some(({ area }) => area.some(Boolean)); // nothing is painted: its dots stand for groups
    return { ...view, width, height, rows: decode(view.rows), uv: decode(view.uv), masks, bounds, strokes, bare };
  }

  get pictures() { return new Map(this.views.map((view) => [view.name, view.image])); }

  // The size and fading of a layer in 3D.
  look(layer) { return this.scene.looks[layer.line ? "strokes" : "points"][layer.emphasis]; }

  faded(colour, share) { return colour.map((value, i) => Math.round(value * (1 - share) + this.scene.looks.back[i] * share)); }

  stage(name) { return this.stages.find((stage) => stage.name === name); }

  // The points of one unit or cluster.
  pointsOf(kind, number) {
    const of = this.members[kind], found = [];
    for (let i = 0; i < of.length; i++) if (of[i] === number) found.push(i);
    return found;
  }

  // The colour in which a stage's points show one unit or cluster.
  colourAt(stage, kind, number) {
    const [row] = this.pointsOf(kind, number);
    for (const name of stage.layers) {
      const layer = this.layers.get(name), at = layer.line ? -1 : layer.rows.indexOf(row);
      if (at >= 0) return css(layer.colours[layer.code[at]]);
    }
    return css(this.scene.looks.back);
  }

  // The unit nearest to a place, or -1 where none is within half a metre.
  unitAt([x, y, z]) {
    const of = this.members.unit;
    let best = NOT_CHOSEN, least = 0.25;
    for (let i = 0; i < of.length; i++) {
      if (of[i] < 0) continue;
      const away = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2 + (this.z[i] - z) ** 2;
      if (away < least) { least = away; best = of[i]; }
    }
    return best;
  }

  // The camera that sees most of a unit, or -1.
  bestView(unit) {
    let best = -1, most = 0;
    this.views.forEach((view, number) => {
      const area = view.bounds.unit.area[unit];
      if (area > most) { most = area; best = number; }
    });
    return best;
  }

  cosines(unit) {
    const { features, width } = this.similar, count = features.length / width, found = new Float32Array(count);
    for (let other = 0; other < count; other++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += features[unit * width + i] * features[other * width + i];
      found[other] = Math.max(-1, Math.min(1, sum));
    }
    return found;
  }

  // Makes `unit` the chosen one: which units stay negatives, and the layers and tint of the similarity stage.
  choose(unit) {
    this.unit = unit;
    if (!this.similar || unit === NOT_CHOSEN) return;
    const cosine = this.cosines(unit), { keep, literal } = this.similar;
    const order = Array.from(cosine.keys()).filter((other) => other !== unit).sort((a, b) => cosine[a] - cosine[b]);
    const last = order.length && keep ? cosine[order[Math.min(keep, order.length) - 1]] : -Infinity;
    const negatives = order.filter((other) => (literal ? cosine[other] < last : cosine[other] <= last));
    const edge = negatives.length ? cosine[negatives[negatives.length - 1]] : this.similar.low;
    this.found = { cosine, order, edge, kept: negatives.length };
    this.paint(unit, new Set(negatives));
  }

  paint(unit, negatives) {
    const { cosine, edge, order, kept } = this.found, { low, high } = this.similar, of = this.members.unit;
    const middle = Math.max(edge, low + 1e-6), top = Math.max(high, middle + 1e-6);
    // As palette.Ramp.codes has it: the middle itself is of the lower half.
    const share = (c) => (c < middle ? 0.5 * (c - low) / (middle - low) : 0.5 + 0.5 * (c - middle) / (top - middle));
    const code = Uint8Array.from(cosine, (c) => Math.max(0, Math.ceil(256 * Math.min(1, Math.max(0, share(c))) - 1)));
    const rows = { negatives: [], excluded: [], chosen: [] };
    for (let i = 0; i < of.length; i++) {
      if (of[i] < 0) continue;
      rows[of[i] === unit ? "chosen" : negatives.has(of[i]) ? "negatives" : "excluded"].push(i);
    }
    const left = order.length - kept;
    const titles = { negatives: `negatives: ${count(kept)}, up to ${signed(edge)}`, excluded: `excluded: ${count(left)}`, chosen: `unit ${unit}` };
    for (const name in rows) {
      const layer = this.layers.get(name);
      layer.rows = Uint32Array.from(rows[name]);
      layer.code = Uint8Array.from(rows[name], (row) => (name === "chosen" ? 0 : code[of[row]]));
      layer.title = titles[name];
      if (layer.ramp) layer.ramp = { ...layer.ramp, middle: edge };
    }
    const stage = this.stage("similarity"), colours = this.layers.get("negatives").colours, mine = this.layers.get("chosen").colours[0];
    for (let other = 0; other < cosine.length; other++) {
      stage.tint.set(other === unit ? [...mine, 200] : [...colours[code[other]], 160], 4 * other);
    }
    const others = order.length;
    stage.caption = others ? [
      `unit ${unit} against ${count(others)} others: cosine ${signed(cosine[order[0]])} to ${signed(cosine[order[others - 1]])}`,
      `the ${count(kept)} least similar stay negatives, ${count(left)} are excluded`,
    ] : [`unit ${unit} is alone`];
  }
}

const count = (number) => number.toLocaleString("en");
const signed = (value) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(2);

// For every group of a mask, how many pixels it covers and their bounds.
function boundsOf(mask, width, height, groups) {
  const area = new Uint32Array(groups), low = new Uint16Array(2 * groups).fill(65535), high = new Uint16Array(2 * groups);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const group = mask[at];
      if (group < 0) continue;
      area[group]++;
      if (x < low[2 * group]) low[2 * group] = x;
      if (y < low[2 * group + 1]) low[2 * group + 1] = y;
      if (x > high[2 * group]) high[2 * group] = x;
      if (y > high[2 * group + 1]) high[2 * group + 1] = y;
    }
  }
  return { area, low, high };
}
