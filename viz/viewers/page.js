// The page: which stage is shown, what is pointed at, which unit is chosen.

const $ = (selector) => document.querySelector(selector);
const make = (tag, text, attributes) => Object.assign(document.createElement(tag), { textContent: text || "" }, attributes);
const POINTED = "#ffffff", CHOSEN = "#ff4fa3", SHOWN_ALIKE = 6;

class Page {
  constructor(model) {
    this.model = model;
    this.pointed = { kind: "unit", number: -1 };
    const asGroup = (row) => (kind) => (row < 0 ? -1 : model.members[kind][row]);
    this.space = new Space(model, $("#space"), $("#halo"), {
      hover: (row) => this.hover(asGroup(row)), click: (row) => this.click(asGroup(row), -1),
    });
    this.views = new Views(model, $(".rig"), $(".focus"), {
      hover: (group) => this.hover(group), click: (group, view) => this.click(group, view),
    });
    this.views.hidden = this.space.hidden;
  }

  async start() {
    this.head();
    this.fit();
    await this.views.load();
    const asked = new URLSearchParams(location.hash.slice(1)), { opening, similarities } = this.model.scene;
    const first = this.model.views.findIndex((view) => view.name === asked.get("view"));
    const ahead = this.model.views.findIndex((view) => /front$/i.test(view.title));
    if (this.model.views.length) this.views.setFocus(Math.max(0, first >= 0 ? first : ahead));
    const unit = asked.has("unit") ? Number(asked.get("unit")) : similarities ? similarities.unit : -1;
    if (unit >= 0 && unit < this.model.words.unit.length) this.model.choose(unit);
    const named = this.model.stage(asked.get("stage")) || this.model.stage(opening) || this.model.stages[0];
    await this.show(named.name, asked.get("look") || "behind");
    $(".wait").classList.add("gone");
    addEventListener("resize", () => this.fit());
    addEventListener("keydown", (event) => this.key(event));
    document.body.dataset.ready = "yes";
  }

  head() {
    const { title, subtitle, facts, shown } = this.model.scene;
    $("header h1").textContent = title;
    $("header small").textContent = subtitle;
    for (const [number, what] of facts) {
      const pair = make("div");
      pair.append(make("dt", what), make("dd", number));
      $(".facts").append(pair);
    }
    $(".shown").textContent = shown;
    this.model.stages.forEach((stage, number) => {
      const button = make("button", "", { onclick: () => this.show(stage.name) });
      button.append(make("i", String(number + 1)), stage.title);
      button.setAttribute("role", "tab");
      button.dataset.stage = stage.name;
      $(".stages").append(button);
    });
    for (const button of document.querySelectorAll(".tools button")) button.onclick = () => this.space.look(button.dataset.look);
  }

  // The images beside the scene, as large as the window's height allows; one wide image goes below instead.
  fit() {
    const { views } = this.model, main = $("main").getBoundingClientRect();
    document.body.classList.toggle("wide", views.length > 0 && views.every((view) => view.width > 2.4 * view.height));
    if (!views.length) { $("aside").remove(); $("main").style.gridTemplateColumns = "minmax(0, 1fr)"; this.fit = () => {}; return; }
    const view = views[0], slope = view.height / view.width, rows = views.length > 1 ? Math.max(...views.map((v) => v.place[0])) + 1 : 0;
    const columns = Math.max(...views.map((v) => v.place[1])) + 1, room = innerHeight - main.top - 16;
    if (document.body.classList.contains("wide")) {
      $("main").style.setProperty("--aside", `${Math.round(Math.min(innerWidth * 0.66, room * 0.36 / slope))}px`);
      return;
    }
    // Below the images: two lines about the unit and, with features, two rows of six crops of 5:4.
    const [lines, crops] = this.model.similar ? [100, 2 / 6 * 0.8] : [60, 0];
    const wide = (room - lines - 10 * rows) / (slope + rows * slope / columns + crops);
    $("main").style.setProperty("--aside", `${Math.round(Math.max(340, Math.min(innerWidth * 0.46, wide)))}px`);
  }

  async show(name, look) {
    this.stage = this.model.stage(name);
    for (const button of document.querySelectorAll(".stages button")) button.setAttribute("aria-selected", button.dataset.stage === name);
    this.about();
    this.legend();
    this.images();
    this.unitPanel();
    await this.space.show(this.stage, look);
    this.glow();
    document.body.dataset.stage = name;
  }

  about() {
    $(".about h2").textContent = this.stage.title;
    $(".about p").textContent = this.stage.words;
    $(".about ul").replaceChildren(...this.stage.caption.map((line) => make("li", line)));
  }

  legend() {
    const entries = this.stage.layers.map((name) => this.model.layers.get(name)).reverse();
    const items = entries.map((layer) => this.entry(layer));
    const measured = entries.find((layer) => layer.ramp);
    if (measured) items.push(this.ramp(measured));
    $(".legend").replaceChildren(...items);
  }

  entry(layer) {
    const item = make("li"), button = make("button"), swatch = make("i");
    const colours = layer.line ? [layer.colour] : layer.colours;
    const at = (share) => css(colours[Math.round(share * (colours.length - 1))]);
    const [from, to] = { negatives: [0, 0.45], excluded: [0.55, 1] }[layer.name] || [0, 1];
    swatch.className = layer.line ? "line" : colours.length > 1 ? "many" : "";
    const stops = Array.from({ length: 7 }, (_, i) => from + (to - from) * i / 6);
    swatch.style.background = colours.length > 1 ? `linear-gradient(90deg, ${layer.ramp ? stops.map(at) : hard(colours)})` : at(0);
    button.append(swatch, layer.title);
    button.setAttribute("aria-pressed", !this.space.hidden.has(layer.name));
    button.onclick = () => {
      if (!this.space.hidden.delete(layer.name)) this.space.hidden.add(layer.name);
      this.show(this.stage.name);
    };
    item.append(button);
    if (layer.line) item.className = "guide";
    return item;
  }

  ramp(layer) {
    const { low, high, middle, words } = layer.ramp, item = make("li", words, { className: "ramp" }), bar = make("b"), ends = make("span");
    const stops = Array.from({ length: 17 }, (_, i) => css(layer.colours[Math.round(i / 16 * (layer.colours.length - 1))]));
    bar.style.background = `linear-gradient(90deg, ${stops})`;
    if (middle !== null) bar.className = "split";
    const numbers = middle === null ? [low, high] : [low, middle, high];
    ends.append(...numbers.map((value, i) => make("span", (value < 0 ? "−" : "") + Math.abs(value).toFixed(middle === null ? 1 : 2) + (i === 1 && middle !== null ? " negatives end" : ""))));
    item.append(bar, ends);
    return item;
  }

  images() {
    if (!this.model.views.length) return;
    const marks = [];
    if (this.model.unit >= 0 && this.stage.name === "similarity") marks.push({ kind: "unit", number: this.model.unit, colour: CHOSEN });
    if (this.pointed.number >= 0) marks.push({ ...this.pointed, colour: POINTED });
    this.views.draw(this.stage, marks);
  }

  glow() {
    const groups = [];
    const { kind, number } = this.pointed;
    if (number >= 0) {
      const cosine = this.stage.name === "similarity" && this.model.found ? ` · cosine ${this.model.found.cosine[number].toFixed(2)}` : "";
      groups.push({ rows: this.model.pointsOf(kind, number), colour: this.colourOf(kind, number), title: this.model.words[kind][number] + cosine });
    }
    this.space.glowOn(groups);
  }

  colourOf(kind, number) {
    const stage = this.stage.kind === kind ? this.stage : this.model.stage(kind === "unit" ? "units" : "instances");
    return css(stage.tint.slice(4 * number, 4 * number + 3));
  }

  hover(group) {
    const kind = this.stage.kind || "unit", number = group(kind);
    if (number === this.pointed.number && kind === this.pointed.kind) return;
    this.pointed = { kind, number };
    document.body.dataset.pointed = number;
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame(() => { this.images(); this.glow(); });
  }

  click(group, view) {
    const unit = group("unit");
    if (view >= 0 && view !== this.views.current) this.views.setFocus(view);
    if (unit >= 0) this.choose(unit, view < 0);
  }

  choose(unit, turn) {
    this.model.choose(unit);
    const best = this.model.bestView(unit);
    if (turn && best >= 0) this.views.setFocus(best);
    document.body.dataset.unit = unit;
    this.pointed = { kind: "unit", number: -1 };
    return this.show(this.model.similar ? "similarity" : this.stage.name);
  }

  unitPanel() {
    const panel = $(".unit"), { unit, found } = this.model;
    if (!panel) return;
    if (unit < 0) { panel.replaceChildren(make("p", "Point at a unit, in 3D or in an image; click it to choose it.")); return; }
    const words = this.model.words.unit[unit].split(" · "), head = make("h3");
    head.append(make("em", words[0]), ` · ${words[1]}`);
    panel.replaceChildren(head, make("p", words.slice(2).join(" · ")));
    if (!found) return;
    const alike = make("div", "", { className: "alike" }), excluded = found.order.slice(found.keep).reverse();
    alike.append(...this.crops("most alike", "excluded", excluded), ...this.crops("least alike", "negatives", found.order.slice(0, found.keep)));
    panel.append(alike);
  }

  crops(title, words, units) {
    const label = make("span"), row = make("div", "", { className: "crops" });
    label.append(make("b", title), ` · ${words}`);
    for (const unit of units) {
      if (row.children.length === SHOWN_ALIKE) break;
      const canvas = make("canvas", "", { width: 150, height: 120 });
      if (!this.views.crop(unit, canvas)) continue;
      const button = make("button", "", { title: this.model.words.unit[unit], onclick: () => this.choose(unit, true) });
      button.onmouseenter = () => this.hover((kind) => (kind === "unit" ? unit : -1));
      button.onmouseleave = () => this.hover(() => -1);
      button.append(canvas, make("span", this.model.found.cosine[unit].toFixed(2)));
      row.append(button);
    }
    return [label, row];
  }

  key(event) {
    const stages = this.model.stages, at = stages.indexOf(this.stage);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key >= "1" && event.key <= String(stages.length)) this.show(stages[event.key - 1].name);
    else if (event.key === "ArrowRight" && at + 1 < stages.length) this.show(stages[at + 1].name);
    else if (event.key === "ArrowLeft" && at > 0) this.show(stages[at - 1].name);
    else if (event.key === "a") this.space.look("above");
    else if (event.key === "b") this.space.look("behind");
  }
}

const hard = (colours) => colours.map((colour, i) => `${css(colour)} ${100 * i / colours.length}% ${100 * (i + 1) / colours.length}%`);

window.xmodal = new Page(new Model(JSON.parse($("#scene").textContent)));
window.xmodal.start();
