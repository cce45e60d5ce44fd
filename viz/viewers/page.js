// The page: which stage is shown, what is pointed at, which unit is chosen.

const $ = (selector) => document.querySelector(selector);
const make = (tag, text, attributes) => Object.assign(document.createElement(tag), { textContent: text || "" }, attributes);
const POINTED = "#ffffff", CHOSEN = "#ff4fa3", SHOWN_ALIKE = 6;
const NO_3D = "This browser draws no 3D: WebGL is off. The images show every stage, and units can be chosen in them.";

class Page {
  constructor(model) {
    this.model = model;
    this.pointed = { kind: "unit", number: -1 };
    const groupOf = (row) => (kind) => (row < 0 ? -1 : this.model.members[kind][row]);
    this.space = new Space(model, $("#space"), $("#halo"), {
      hover: (row) => this.hover(groupOf(row)), click: (row) => this.click(groupOf(row), -1), label: (text, mouse) => this.tip(text, mouse),
    });
    this.views = new Views(model, $(".rig"), $(".focus"), {
      hover: (group, mouse) => this.hover(group, mouse), click: (group, view) => this.click(group, view),
    });
    this.views.hidden = this.space.hidden;
  }

  async start() {
    this.head();
    this.fit();
    await this.views.load();
    const asked = new URLSearchParams(location.hash.slice(1)), { opening, similarities } = this.model.scene, { views, stages } = this.model;
    const first = views.findIndex((view) => view.name === asked.get("view")), ahead = views.findIndex((view) => /front$/i.test(view.title));
    const unit = asked.has("unit") ? Number(asked.get("unit")) : similarities ? similarities.unit : -1;
    if (unit >= 0 && unit < this.model.words.unit.length) this.model.choose(unit);
    const named = this.model.stage(asked.get("stage")) || this.model.stage(opening) || this.model.stage("units") || stages[0];
    const sees = named.name === "similarity" && this.model.unit >= 0 ? this.model.bestView(this.model.unit) : -1;
    if (views.length) this.views.setFocus([first, sees, ahead, 0].find((view) => view >= 0));
    await this.show(named.name, asked.get("look") || "behind");
    if (!this.space.works) $(".box").append(make("p", NO_3D));
    $(".wait").classList.add("gone");
    addEventListener("resize", () => { this.fit(); this.views.mark(this.marks()); });
    addEventListener("keydown", (event) => this.key(event));
    performance.mark("ready");
    document.body.dataset.ready = "yes";
  }

  // Another scene, of the same frame or another: stage, camera, image and chosen unit stay as far as they can.
  async update(scene) {
    const { model, views, space } = this, [row] = model.unit < 0 ? [] : model.pointsOf("unit", model.unit);
    const place = row === undefined ? null : [model.x[row], model.y[row], model.z[row]], view = (model.views[views.current] || {}).name;
    const fresh = new Model(scene, model.pictures);
    this.model = fresh;
    space.use(fresh);
    views.use(fresh);
    this.pointed = { kind: "unit", number: -1 };
    await views.load();
    this.head();
    const unit = place ? fresh.unitAt(place) : -1, stage = fresh.stage(this.stage.name) || fresh.stage("units");
    if (unit >= 0) fresh.choose(unit);
    if (fresh.views.length) views.setFocus(Math.max(0, fresh.views.findIndex(({ name }) => name === view)));
    await this.show(stage.name === "similarity" && unit < 0 ? "units" : stage.name);
  }

  head() {
    const { title, subtitle, facts, shown } = this.model.scene;
    Object.assign($("header h1"), { textContent: title, title });
    Object.assign($("header small"), { textContent: subtitle, title: subtitle });
    $(".facts").replaceChildren();
    for (const [number, what] of facts) {
      const pair = make("div");
      pair.append(make("dt", what), make("dd", number));
      $(".facts").append(pair);
    }
    $(".shown").textContent = shown;
    $(".stages").replaceChildren();
    this.model.stages.forEach((stage, number) => {
      const button = make("button", "", { onclick: () => this.show(stage.name) });
      button.append(make("i", String(number + 1)), stage.title);
      button.setAttribute("role", "tab");
      button.dataset.stage = stage.name;
      $(".stages").append(button);
    });
    for (const button of document.querySelectorAll("[data-look]")) button.onclick = () => this.space.look(button.dataset.look);
    this.nameThings();
    $("[data-help]").onclick = () => $("#help").showModal();
    const { views } = this.model;
    document.body.classList.toggle("alone", views.length === 1);
    document.body.classList.toggle("wide", views.length === 1 && views[0].width > 2.4 * views[0].height);
    document.body.classList.toggle("blind", !views.length);
  }

  // What can be pointed at, by its name.
  nameThings() {
    const { thing } = this.model.scene, button = { textContent: capital(thing), title: `To the chosen ${thing} (f)` };
    Object.assign($("[data-look=unit]"), button);
    for (const word of document.querySelectorAll("[data-thing]")) word.textContent = thing;
    $("[data-click]").textContent = this.model.similar ? "compares it with all others" : "chooses it";
    $("[data-last]").textContent = this.model.stages.length;
  }

  // The images beside the scene, as large as the window's height allows; one wide image goes below instead.
  fit() {
    const { views } = this.model;
    if (!views.length) return;
    const slope = views[0].height / views[0].width, room = innerHeight - $("main").getBoundingClientRect().top - 16;
    const set = (width) => $("main").style.setProperty("--aside", `${Math.round(width)}px`);
    if (document.body.classList.contains("wide")) { set(Math.min(innerWidth * 0.66, room * 0.36 / slope)); return; }
    const rows = views.length > 1 ? Math.max(...views.map((view) => view.place[0])) + 1 : 0;
    const columns = Math.max(...views.map((view) => view.place[1])) + 1;
    // Below the images: lines about the unit and, with features, two rows of six crops of 5:4.
    const [lines, crops] = this.model.similar ? [104, 2 / 6 * 0.8] : [60, 0];
    const width = (room - lines - 10 * rows) / (slope + rows * slope / columns + crops);
    set(Math.max(360, Math.min(innerWidth * 0.46, width)));
  }

  async show(name, look) {
    this.stage = this.model.stage(name);
    for (const button of document.querySelectorAll(".stages button")) button.setAttribute("aria-selected", button.dataset.stage === name);
    $("[data-look=unit]").disabled = this.model.unit < 0;
    this.about();
    this.legend();
    this.images();
    this.unitPanel();
    this.remember();
    await this.space.show(this.stage, look);
    this.glow();
    document.body.dataset.stage = this.stage.name; // another may have been asked for while this one was drawn
  }

  // The address names what is shown, so that it can be passed on and reloaded.
  remember() {
    const parts = [`stage=${this.stage.name}`, ...(this.model.unit < 0 ? [] : [`unit=${this.model.unit}`])];
    if (this.model.views.length) parts.push(`view=${encodeURIComponent(this.model.views[this.views.current].name)}`);
    history.replaceState(null, "", `#${parts.join("&")}`);
  }

  about() {
    $(".about").title = [this.stage.words, ...this.stage.caption].join("\n");
    $(".about p").textContent = this.stage.words;
    $(".about ul").replaceChildren(...this.stage.caption.map((line) => make("li", line)));
  }

  legend() {
    const layers = this.stage.layers.map((name) => this.model.layers.get(name)).filter((layer) => layer.line || layer.rows.length);
    const loud = (layer) => (layer.emphasis === "quiet" ? 0 : 1);
    const points = layers.filter((layer) => !layer.line).reverse().sort((a, b) => loud(b) - loud(a));
    const lines = layers.filter((layer) => layer.line).reverse();
    const measured = points.find((layer) => layer.ramp);
    $(".legend").replaceChildren(
      ...(measured ? [this.ramp(measured)] : []), ...points.map((layer) => this.entry(layer)), ...lines.map((layer) => this.entry(layer)),
    );
  }

  entry(layer) {
    const item = make("li"), button = make("button"), swatch = make("i");
    // As the scene shows them; what is quiet there would be lost in so small a mark.
    const { fade } = this.model.look(layer), stored = layer.line ? [layer.colour] : layer.colours;
    const colours = stored.map((colour) => this.model.faded(colour, fade / 2));
    const at = (share) => css(colours[Math.round(share * (colours.length - 1))]);
    const [from, to] = { negatives: [0, 0.498], excluded: [0.502, 1] }[layer.name] || [0, 1];
    swatch.className = layer.line ? "line" : colours.length > 1 ? "many" : "";
    const stops = Array.from({ length: 7 }, (_, i) => from + (to - from) * i / 6);
    swatch.style.background = colours.length > 1 ? `linear-gradient(90deg, ${layer.ramp ? stops.map(at) : hard(colours)})` : at(0);
    button.append(swatch, layer.title);
    button.title = "show or hide";
    button.setAttribute("aria-pressed", !this.space.hidden.has(layer.name));
    button.dataset.layer = layer.name;
    button.onclick = () => {
      if (!this.space.hidden.delete(layer.name)) this.space.hidden.add(layer.name);
      this.show(this.stage.name);
    };
    item.append(button);
    if (layer.line) item.className = "guide";
    return item;
  }

  ramp(layer) {
    const { low, high, middle, words } = layer.ramp, item = make("li", words, { className: "ramp" }), bar = make("b");
    const last = layer.colours.length - 1, stops = layer.colours.map((colour, i) => `${css(colour)} ${(100 * i / last).toFixed(1)}%`);
    bar.style.background = `linear-gradient(90deg, ${stops})`;
    const number = (value) => (middle === null ? String(Number(value.toFixed(1))).replace("-", "−") : signed(value));
    if (middle !== null) bar.append(make("span"));
    item.append(make("span", number(low)), bar, make("span", number(high)));
    return item;
  }

  // Before there are units, a chosen one is not marked: it would hide what the stage is about.
  get marksChosen() { return this.model.unit >= 0 && (this.stage.kind || !this.model.stages.some(({ kind }) => kind)); }

  marks() {
    const marks = [];
    if (this.marksChosen) marks.push({ kind: "unit", number: this.model.unit, colour: CHOSEN });
    if (this.pointed.number >= 0) marks.push({ ...this.pointed, colour: POINTED });
    return marks;
  }

  images() {
    if (!this.model.views.length) return;
    this.views.draw(this.stage);
    this.views.mark(this.marks());
  }

  describe(kind, number) {
    const compared = kind === "unit" && this.stage.name === "similarity" && this.model.found;
    const cosine = compared ? ` · cosine ${signed(this.model.found.cosine[number])}` : "";
    const [name, ...rest] = this.model.words[kind][number].split(" · ");
    return [name + cosine, ...rest].join(" · ");
  }

  glow() {
    const groups = [], { kind, number } = this.pointed, { unit } = this.model;
    const group = (of, which, rim, title) => ({ rows: this.model.pointsOf(of, which), colour: this.colourOf(of, which), rim, title });
    if (this.marksChosen && this.stage.name !== "similarity") groups.push(group("unit", unit, CHOSEN, ""));
    if (number >= 0) groups.push(group(kind, number, POINTED, this.describe(kind, number)));
    this.space.glowOn(groups);
  }

  colourOf(kind, number) {
    const stage = this.stage.kind === kind ? this.stage : this.model.stage(kind === "unit" ? "units" : "instances");
    return stage ? css(stage.tint.slice(4 * number, 4 * number + 3)) : this.model.colourAt(this.stage, kind, number);
  }

  // `group` gives the number of a kind; `mouse` is where the pointer is on an image.
  hover(group, mouse) {
    const kind = this.stage.kind || "unit", number = group(kind);
    this.tip(mouse && number >= 0 ? this.describe(kind, number) : "", mouse);
    if (number === this.pointed.number && kind === this.pointed.kind) return;
    this.pointed = { kind, number };
    document.body.dataset.pointed = number;
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame(() => {
      if (this.model.views.length) this.views.mark(this.marks());
      this.glow();
    });
  }

  tip(text, mouse) {
    const tip = $(".tip");
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = Math.max(6, Math.min(innerWidth - tip.offsetWidth - 6, mouse.clientX + 14));
    const top = mouse.clientY + (mouse.clientY > innerHeight - 60 ? -34 : 16);
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  click(group, view) {
    const unit = group("unit");
    if (view >= 0 && view !== this.views.current) this.turnTo(view);
    if (unit >= 0) this.choose(unit, view < 0);
  }

  turnTo(view) {
    this.views.setFocus(view);
    this.remember();
  }

  choose(unit, turn) {
    this.model.choose(unit);
    const best = unit < 0 ? -1 : this.model.bestView(unit);
    if (turn && best >= 0) this.views.setFocus(best);
    document.body.dataset.unit = unit;
    this.pointed = { kind: "unit", number: -1 };
    this.tip("");
    return this.show(this.model.similar && unit >= 0 ? "similarity" : this.stage.name);
  }

  unitPanel() {
    const panel = $(".unit"), { unit, found } = this.model;
    if (!panel) return;
    if (unit < 0) { panel.replaceChildren(make("p", `Point at a ${this.model.scene.thing}, in 3D or in an image; click it to choose it.`)); return; }
    const [first, ...words] = this.model.words.unit[unit].split(" · "), head = make("h3");
    head.append(make("em", first), ...words.slice(0, 1).map((second) => ` · ${second}`));
    panel.replaceChildren(head, make("p", words.slice(1).join(" · ")));
    if (!found) return;
    const alike = make("div", "", { className: "alike" }), excluded = found.order.slice(found.kept).reverse();
    alike.append(...this.crops("most alike", "excluded", excluded), ...this.crops("least alike", "negatives", found.order.slice(0, found.kept)));
    panel.append(alike);
  }

  crops(title, words, units) {
    const label = make("span"), row = make("div", "", { className: "crops" });
    // As many pixels as the screen will show of each.
    const width = Math.round(Math.min(760, $(".unit").clientWidth) / SHOWN_ALIKE * (window.devicePixelRatio || 1));
    label.append(make("b", title), ` · ${words}`);
    for (const unit of units) {
      if (row.children.length === SHOWN_ALIKE) break;
      const canvas = make("canvas", "", { width, height: Math.round(width * 0.8) });
      if (!this.views.crop(unit, canvas)) continue;
      const button = make("button", "", { title: this.model.words.unit[unit], onclick: () => this.choose(unit, true) });
      button.onmouseenter = () => this.hover((kind) => (kind === "unit" ? unit : -1));
      button.onmouseleave = () => this.hover(() => -1);
      button.append(canvas, make("span", signed(this.model.found.cosine[unit])));
      row.append(button);
    }
    return [label, row];
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#help").open || typing(event)) return;
    const stages = this.model.stages, at = stages.indexOf(this.stage), views = this.model.views.length;
    const looks = { a: "above", b: "behind", f: "unit" };
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (stages[Number(event.key) - 1]) this.show(stages[Number(event.key) - 1].name);
    else if (step && stages[at + step]) this.show(stages[at + step].name);
    else if (turn && views > 1) { event.preventDefault(); this.turnTo((this.views.current + turn + views) % views); }
    else if (looks[event.key]) this.space.look(looks[event.key]);
    else if (event.key === "?") $("#help").showModal();
    else if (event.key === "Escape" && this.model.unit >= 0) this.release();
  }

  // No unit chosen; without one there is no similarity to show.
  release() {
    if (this.stage.name === "similarity") this.stage = this.model.stage("units");
    return this.choose(-1);
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

const hard = (colours) => colours.map((colour, i) => `${css(colour)} ${100 * i / colours.length}% ${100 * (i + 1) / colours.length}%`);

// Keys that go to what is typed or slid in mean that.
const typing = (event) => Boolean(event.target.closest && event.target.closest("input, textarea, select, [role=slider], [role=radio]"));
