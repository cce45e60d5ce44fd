// The tuner's side of the page: scenes come from the server, and of two sets of settings either is shown at once.

const TOLD = 2600; // milliseconds that a note stays

class TunerPage extends Page {
  // The window's grid gives the images their room.
  fit() {}

  async show(name, look) {
    await super.show(name, look);
    if (this.beside) await this.beside.show(this);
  }
}

// The image of the other settings below the one of those shown.
class Beside {
  constructor(scene, pictures, name) {
    const figure = make("figure", "", { className: "focus beside-focus" });
    figure.append(make("canvas"), make("figcaption"));
    $(".focus").after(figure);
    Object.assign(this, { figure, name, model: new Model(scene, pictures) });
    this.views = new Views(this.model, make("div"), figure, { hover() {}, click() {} });
  }

  async show(page) {
    const stage = this.model.stage(page.stage.name) || this.model.stage("units");
    if (!this.views.images) await this.views.load();
    if (!this.model.views.length) return;
    this.views.hidden = page.space.hidden;
    this.views.draw(stage);
    this.follow(page);
  }

  follow(page) {
    this.views.setFocus(Math.min(page.views.current, this.model.views.length - 1));
    this.views.caption.textContent = `${this.name} · ${this.views.caption.textContent}`;
  }

  remove() { this.figure.remove(); }
}

class Tuner {
  constructor() {
    this.scenes = { A: null, B: null };
    this.which = "B";
    this.waiting = Promise.resolve();
  }

  // What the server worked out. Scenes are shown one after the other, of several that wait only the last; but what has
  // pictures, or the pinned settings' scene, must not be missed.
  receive(news) {
    if (!news) return;
    this.command = news.command;
    this.latest = news;
    document.body.classList.toggle("pinned", news.pinned);
    this.markChanged(news.changed);
    this.waiting = this.waiting.then(() => (news === this.latest || news.whole ? this.take(news) : null)).catch(console.error);
  }

  async take(news) {
    const answer = await fetch(`scene/${news.scene}`);
    if (!answer.ok) return; // overtaken
    const { a, b } = await answer.json();
    if (!news.pinned) { this.scenes.A = null; this.which = "B"; }
    if (a) this.scenes.A = a;
    this.scenes.B = b;
    await this.draw();
    document.body.dataset.shown = Number(document.body.dataset.shown || 0) + 1;
  }

  async draw() {
    const scene = this.scenes[this.which];
    if (!this.page) await this.open(scene);
    else await this.page.update(scene);
    await this.other();
    document.body.dataset.which = this.which;
    for (const name of ["a", "b"]) $(`#show-${name}`).setAttribute("aria-pressed", this.which === name.toUpperCase());
  }

  async open(scene) {
    $("#page").append($("#skeleton").content.cloneNode(true));
    this.page = new TunerPage(new Model(scene));
    window.xmodal = this.page;
    const { views } = this.page, focus = views.setFocus.bind(views);
    views.setFocus = (number) => { focus(number); this.caption(); };
    this.listen();
    await this.page.start();
  }

  // With settings pinned, the image under both.
  async other() {
    const { page } = this, name = this.which === "A" ? "B" : "A", scene = this.scenes[name];
    if (page.beside) { page.beside.remove(); page.beside = null; }
    if (this.scenes.A && page.model.views.length) {
      page.beside = new Beside(scene, page.model.pictures, name);
      await page.beside.show(page);
    }
    this.caption();
  }

  caption() {
    const { page } = this, view = page.model.views[page.views.current];
    if (!view) return;
    page.views.caption.textContent = page.beside ? `${this.which} · ${view.title}` : view.title;
    if (page.beside) page.beside.follow(page);
  }

  toggle(which) {
    if (!this.scenes.A || which === this.which) return;
    this.which = which;
    this.waiting = this.waiting.then(() => this.draw());
  }

  markChanged(paths) {
    const changed = new Set(paths);
    for (const row of document.querySelectorAll(".setting")) row.classList.toggle("changed", changed.has(row.dataset.path));
  }

  listen() {
    const { page } = this, choose = page.choose.bind(page);
    this.panel("numbers");
    page.choose = (unit, ...rest) => { if (unit >= 0) this.panel("unit"); return choose(unit, ...rest); };
    for (const tab of document.querySelectorAll("[data-panel]")) tab.onclick = () => this.panel(tab.dataset.panel);
    $("#show-a").onclick = () => this.toggle("A");
    $("#show-b").onclick = () => this.toggle("B");
    $("#copy").onclick = () => this.copy();
    $("#previous").onclick = () => this.step(-1);
    $("#next").onclick = () => this.step(1);
    const keys = { x: "from A to B and back, with settings pinned", ", .": "previous and next frame" };
    for (const [key, words] of Object.entries(keys)) $("#help dl").append(make("dt", key), make("dd", words));
    for (const button of document.querySelectorAll(".undo")) button.onclick = () => this.undo(button);
    addEventListener("keydown", (event) => {
      if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "x") this.toggle(this.which === "A" ? "B" : "A");
      if (event.key === ",") this.step(-1);
      if (event.key === ".") this.step(1);
    });
  }

  panel(name) {
    document.body.dataset.panel = name;
    for (const tab of document.querySelectorAll("[data-panel]")) tab.setAttribute("aria-selected", tab.dataset.panel === name);
  }

  step(by) {
    const { value, max } = this.frame();
    const number = Math.min(max, Math.max(0, value + by));
    if (number !== value) dash_clientside.set_props("frame", { value: number });
  }

  frame() {
    const thumb = $("#frame [role=slider]");
    return { value: Number(thumb.getAttribute("aria-valuenow")), max: Number(thumb.getAttribute("aria-valuemax")) };
  }

  undo(button) {
    const path = button.closest(".setting").dataset.path, [value, automatic] = JSON.parse(button.dataset.start);
    dash_clientside.set_props({ kind: "setting", path }, { value });
    if (button.closest(".head").querySelector(".switch")) dash_clientside.set_props({ kind: "automatic", path }, { value: automatic });
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.command);
      this.say(`copied: ${this.command}`);
    } catch {
      this.say(this.command);
    }
  }

  say(text) {
    const note = make("div", text, { className: "note" });
    $("#controls").append(note);
    setTimeout(() => note.remove(), TOLD + 30 * text.length);
  }
}

window.tuner = new Tuner();
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  tuner: { receive: (news) => { window.tuner.receive(news); return ""; } },
});
