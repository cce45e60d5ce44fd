// The report: cards, plots and tables of what was measured. Nothing is computed here but how it looks.

const report = JSON.parse(document.getElementById("report").textContent);
const { summary, rows, ways } = report, quality = summary.quality, several = rows.length > 1;
const $ = (selector) => document.querySelector(selector);
const make = (tag, text, attributes) => Object.assign(document.createElement(tag), { textContent: text ?? "" }, attributes);

const COLOURS = {
  accent: "#ffd22d", blue: "#4b78e1", pink: "#ff78b4", green: "#69f0a5", orange: "#d25a0f", sky: "#87d2ff",
  violet: "#a55aa5", lime: "#96b400", lilac: "#b496ff", sea: "#2d9669",
};
const REASONS = {
  kept: COLOURS.green, too_few_points: "#3b4657", too_small: COLOURS.sky, too_large: COLOURS.orange,
  too_elongated: COLOURS.lilac, too_flat: COLOURS.pink,
};
const STEPS = [COLOURS.sky, COLOURS.lilac, COLOURS.accent, COLOURS.blue, COLOURS.green, COLOURS.pink, COLOURS.orange, COLOURS.lime];
const GRADES = {
  instance_recall: COLOURS.green, mean_iou: COLOURS.sky, purity: COLOURS.accent, over_segmentation: COLOURS.orange,
  under_segmentation: COLOURS.pink, ground_precision: COLOURS.lilac, ground_recall: COLOURS.blue,
};
const SHORT = { instance_recall: "recall", over_segmentation: "over-segm.", under_segmentation: "under-segm.", ground_precision: "ground prec.", ground_recall: "ground recall" };
const MOST_ROWS = 1000;

const count = (value) => value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 100 && value % 1 ? 1 : 0 });
const plain = (digits) => (value) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const words = (name) => name.replaceAll("_", " ");
// A share in percent: one decimal, or three digits where it is small.
const percent = (value) => {
  const hundredths = value * 100;
  if (hundredths === 0) return "0";
  if (hundredths >= 9.995) return hundredths.toFixed(1);
  if (hundredths < 1e-4) return "< 0.0001";
  return Number(hundredths.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3, maximumFractionDigits: 9 });
};

// A mean number: whole where there are many, two digits where there are few.
const few = (value) => (value >= 10 || !value ? count(Math.round(value)) : value < 0.01 ? "< 0.01" : String(Number(value.toPrecision(2))));

// name: [title, how it is written, unit]
const FOUND = {
  units: ["units", count], instances: ["instances", count], merged_seeds: ["seeds merged", count],
  coverage: ["coverage", percent, "%"], ground: ["ground", percent, "%"], points: ["points", count],
};
const QUALITY = {
  instance_recall: ["instance recall", percent, "%"], mean_iou: ["mean IoU", plain(3)],
  over_segmentation: ["over-segmentation", percent, "%"], under_segmentation: ["under-segmentation", percent, "%"],
  purity: ["purity", percent, "%"], ground_precision: ["ground precision", percent, "%"],
  ground_recall: ["ground recall", percent, "%"], false_negative_object: ["false neg., object", percent, "%"],
  false_negative_class: ["false neg., class", percent, "%"],
};

// --- cards

function card(title, value, form, unit, course, meaning) {
  const box = make("dl", "", { className: "card", title: meaning || "" }), dd = make("dd", value == null ? "–" : form(value));
  if (unit && value != null) dd.append(make("small", ` ${unit}`));
  box.append(make("dt", title), dd);
  const known = course.filter((one) => one != null);
  if (several && known.length) {
    const low = Math.min(...known), high = Math.max(...known);
    box.append(make("p", low === high ? "the same in all frames" : `${form(low)} – ${form(high)}`));
    if (low !== high) box.append(spark(course, low, high));
  } else box.append(make("p"));
  return box;
}

function spark(course, low, high) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), path = document.createElementNS(ns, "path");
  let d = "", pen = "M";
  course.forEach((value, at) => {
    if (value == null) { pen = "M"; return; }
    d += `${pen}${((at / (course.length - 1)) * 100).toFixed(2)},${(20 - ((value - low) / (high - low)) * 18).toFixed(2)}`;
    pen = "L";
  });
  path.setAttribute("d", d);
  svg.setAttribute("viewBox", "0 0 100 22");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(path);
  return svg;
}

function cards() {
  const meanings = Object.fromEntries(report.explained), column = (name) => rows.map((row) => row[name]);
  for (const [name, [title, form, unit]] of Object.entries(FOUND))
    $("#found").append(card(title, summary[name], form, unit, column(name), meanings[name]));
  const steps = Object.keys(summary.milliseconds), total = rows.map((row) => steps.reduce((sum, step) => sum + (row[`ms_${step}`] || 0), 0));
  const median = steps.reduce((sum, step) => sum + summary.milliseconds[step], 0);
  $("#found").append(card("time a frame", median, plain(1), "ms", total, meanings.milliseconds));
  for (const [name, [title, form, unit]] of Object.entries(QUALITY))
    if (name in quality) $("#quality").append(card(title, quality[name], form, unit, column(name), meanings[name]));
  if (summary.miscalibration) {
    const { moved, kept } = summary.miscalibration;
    $("#quality").append(card("pixels moved", moved, plain(1), "px", [], meanings.moved), card("pairs still right", kept, percent, "%", [], meanings.kept));
  }
  $("#quality").hidden = !$("#quality").children.length;
  for (const row of document.querySelectorAll(".cards")) {
    const cards = row.children.length;
    row.style.setProperty("--cards", cards > 9 ? Math.ceil(cards / 2) : cards);
  }
}

// --- the table of pairs

function pairs() {
  const table = $("#pairs table"), shares = ["false_negative_object", "false_negative_class"];
  const judged = shares.filter((name) => ways.some((way) => way[name] != null));
  if (!judged.length) $("#pairs p").textContent = "This data has no labels to judge pairs by: only what the ways to units find is compared.";
  $("#pairs").hidden = !ways.length;
  const drawn = judged.flatMap((name) => ways.map((way) => way[name])).filter((value) => value > 0);
  const ends = [Math.floor(Math.log10(Math.min(...drawn))) - 0.3, Math.ceil(Math.log10(Math.max(...drawn)) * 2) / 2];
  const rest = { units: ["units a frame", count], instance_recall: ["instance recall, %", percent], coverage: ["coverage, %", percent], purity: ["purity, %", percent], milliseconds: ["ms a frame", count] };
  const shown = Object.entries(rest).filter(([name]) => ways.some((way) => way[name] != null));
  const head = make("tr");
  head.append(make("th", "a unit is"), ...judged.map((name) => make("th", name.endsWith("object") ? "on the same object, %" : "of the same class, %")), ...shown.map(([, [title]]) => make("th", title)));
  const thead = make("thead"), tbody = make("tbody");
  thead.append(head);
  let ours = true;
  for (const way of ways) {
    const peer = !["seeds", "instances", "balance"].includes(way.name), line = make("tr", "", { className: `${peer ? "peer" : ""} ${peer && ours ? "first" : ""}` });
    ours = !peer;
    line.dataset.way = way.name;
    line.append(make("td", way.title));
    for (const name of judged) {
      const cell = make("td"), bar = make("div", "", { className: "bar" }), fill = make("i", "", { className: name.endsWith("object") ? "object" : "class" });
      const value = way[name];
      fill.style.width = value > 0 ? `${Math.max(0, Math.min(1, (Math.log10(value) - ends[0]) / (ends[1] - ends[0]))) * 100}%` : "0";
      if (!(value > 0)) fill.style.visibility = "hidden";
      const number = make("span", value == null ? "–" : percent(value)), each = way[name.replace("false_negative", "negatives")];
      if (each != null) number.append(make("small", `${few(each)} a unit`));
      bar.append(fill, number);
      cell.append(bar);
      line.append(cell);
    }
    line.append(...shown.map(([name, [, form]]) => make("td", way[name] == null ? "–" : form(way[name]))));
    tbody.append(line);
  }
  table.append(thead, tbody);
}

// --- plots

const AXIS = { gridcolor: "#1d2430", zerolinecolor: "#2a3342", linecolor: "#2a3342", tickfont: { size: 11.5, color: "#9aa4b4" }, title: { font: { size: 12, color: "#9aa4b4" }, standoff: 8 }, automargin: true, fixedrange: true };
const axis = (title, more) => ({ ...AXIS, ...more, title: { ...AXIS.title, text: title } });
const drawings = [];

function plot(id, traces, layout, told) {
  const figure = $(`#${id}`), [p, place] = [figure.querySelector("p"), figure.querySelector("div")];
  if (told) p.textContent = told;
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "#c8ced8" },
    margin: { l: 48, r: 12, t: 8, b: 36 }, showlegend: false, bargap: 0.16, hovermode: "x unified",
    hoverlabel: { bgcolor: "#1b222d", bordercolor: "#2a3342", font: { size: 12, color: "#e8ebf0" } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11.5, color: "#c8ced8" }, traceorder: "normal" },
    ...layout,
  };
  drawings.push(Plotly.newPlot(place, traces, whole, { displayModeBar: false, responsive: true }).then(() => {
    place.on("plotly_click", (event) => { const at = event.points[0].pointIndex; if (layout.byFrame && rows[at]) copy(rows[at].frame); });
  }));
}

const numbers = rows.map((row) => row.frame);
const even = numbers.every((number, at) => at < 2 || number - numbers[at - 1] === numbers[1] - numbers[0]);
const frameAxis = () => axis("frame", { ...(even ? {} : { type: "category" }), showspikes: false, unifiedhovertitle: { text: "frame %{x}" } });

function sizes() {
  const bins = Object.entries(summary.points_per_unit), last = bins.findLastIndex(([, units]) => units > 0);
  const shown = bins.slice(0, last + 1), total = shown.reduce((sum, [, units]) => sum + units, 0);
  const titles = shown.map(([low], at) => (low === "1" ? "1" : at === bins.length - 1 ? `${low}+` : `${low}–${2 * low - 1}`));
  plot("sizes", [{
    type: "bar", x: titles, y: shown.map(([, units]) => units), marker: { color: COLOURS.accent },
    customdata: shown.map(([, units]) => percent(units / total)), hovertemplate: "%{y:,.4~g} units, %{customdata} %<extra></extra>",
  }], { xaxis: axis("points", { type: "category", tickangle: -35 }), yaxis: axis("units a frame") }, "How many units have so many points; each bin is twice as wide as the one before.");
}

function clusters() {
  const reasons = Object.entries(summary.clusters_by_reason).filter(([, mean]) => mean > 0), kept = summary.instances / summary.clusters;
  const told = summary.clusters ? `${percent(kept)} % kept as instances; the rest is rejected by the filters, and its seeds stay units of their own.` : "No cluster was sought: instances are off.";
  const bar = (name, mean) => (several
    ? { type: "bar", name: words(name), x: numbers, y: rows.map((row) => (name === "kept" ? row.instances : row[name])), marker: { color: REASONS[name], line: { width: 0 } }, hovertemplate: `%{y:,} ${words(name)}<extra></extra>` }
    : { type: "bar", orientation: "h", y: [words(name)], x: [mean], marker: { color: REASONS[name] }, text: [count(mean)], textposition: "outside", cliponaxis: false, hovertemplate: `%{x:,} ${words(name)}<extra></extra>` });
  plot("clusters", reasons.map(([name, mean]) => bar(name, mean)), several
    ? { barmode: "stack", bargap: rows.length > 60 ? 0 : 0.16, showlegend: true, byFrame: true, xaxis: frameAxis(), yaxis: axis("clusters") }
    : { xaxis: axis("clusters", { range: [0, Math.max(1, ...reasons.map(([, mean]) => mean)) * 1.12] }), yaxis: axis("", { autorange: "reversed" }), hovermode: "closest" }, told);
}

const mode = () => (rows.length > 80 ? "lines" : "lines+markers");
const line = (name, title, colour, more) => ({
  type: "scatter", mode: mode(), name: title, x: numbers, y: rows.map((row) => row[name] ?? null), line: { color: colour, width: 1.8 }, marker: { size: 5, color: colour },
  hovertemplate: `${title} %{y:${more && more.share ? ".1%" : ",.4~g"}}<extra></extra>`, ...(more && more.trace),
});

function course() {
  if (!several) { $("#course").remove(); return; }
  plot("course", [line("units", "units", COLOURS.accent), line("instances", "instances", COLOURS.green), line("coverage", "coverage", COLOURS.sky, { share: true, trace: { yaxis: "y2", line: { color: COLOURS.sky, width: 1.8, dash: "dot" } } })], {
    byFrame: true, showlegend: true, xaxis: frameAxis(), yaxis: axis("units", { rangemode: "tozero" }), margin: { l: 48, r: 48, t: 8, b: 36 },
    yaxis2: axis("coverage", { overlaying: "y", side: "right", range: [0, 1.02], tickvals: [0, 0.25, 0.5, 0.75, 1], tickformat: ".0%", showgrid: false }),
  }, "Coverage: the share of what cameras see, that is not ground and in range, that lies in a unit.");
}

function grades() {
  const known = Object.keys(GRADES).filter((name) => name in quality);
  if (!several || !known.length) { $("#grades").remove(); return; }
  plot("grades", known.map((name) => line(name, SHORT[name] || QUALITY[name][0], GRADES[name], { share: true })), {
    byFrame: true, showlegend: true, xaxis: frameAxis(), yaxis: axis("", { range: [-0.02, 1.04], tickformat: ".0%" }),
  }, "Against labels, frame by frame; gaps where a frame has nothing to judge.");
}

function time() {
  const steps = Object.entries(summary.milliseconds), most = Math.max(...steps.map(([, value]) => value));
  plot("time", [{
    type: "bar", orientation: "h", y: steps.map(([step]) => step), x: steps.map(([, value]) => value), marker: { color: steps.map((_, at) => STEPS[at % STEPS.length]) },
    text: steps.map(([, value]) => `${plain(1)(value)} ms`), textposition: "outside", cliponaxis: false, hovertemplate: "%{y} %{x:.2f} ms<extra></extra>",
  }], { hovermode: "closest", xaxis: axis("ms", { range: [0, most * 1.16] }), yaxis: axis("", { autorange: "reversed" }) }, several ? "Median of the frames." : "One frame, once everything was loaded.");
}

function cameras() {
  const seen = Object.entries(summary.seen_by);
  if (!seen.length) { $("#cameras").remove(); return; }
  plot("cameras", [{
    type: "bar", orientation: "h", y: seen.map(([name]) => name), x: seen.map(([, share]) => share), width: seen.length < 3 ? 0.3 : 0.75, marker: { color: COLOURS.blue },
    text: seen.map(([, share]) => `${percent(share)} %`), textposition: "outside", cliponaxis: false, hovertemplate: "%{y} %{x:.1%}<extra></extra>",
  }], { hovermode: "closest", xaxis: axis("share of units", { range: [0, Math.min(1, Math.max(...seen.map(([, share]) => share))) * 1.16], tickformat: ".0%" }), yaxis: axis("", { autorange: "reversed" }) },
  "The share of units of which a camera sees a point; a unit may be seen by several.");
}

// --- frames, settings, words

function frames() {
  if (!several) { $("#frames").remove(); return; }
  const columns = { frame: ["frame", String], name: ["name", String], ...FOUND, ...Object.fromEntries(Object.entries(QUALITY).filter(([name]) => name in quality)) };
  const table = $("#frames table"), head = make("tr"), thead = make("thead"), tbody = make("tbody");
  const step = Math.ceil(rows.length / MOST_ROWS), shown = rows.filter((_, at) => at % step === 0);
  if (step > 1) $("#frames p").textContent += ` Showing ${count(shown.length)} of ${count(rows.length)} frames; --out FILE.csv has all.`;
  const fill = () => tbody.replaceChildren(...shown.map((row) => {
    const tr = make("tr", "", { onclick: () => copy(row.frame) });
    tr.dataset.frame = row.frame;
    tr.append(...Object.entries(columns).map(([name, [, form]]) => make("td", row[name] == null ? "–" : form(row[name]), name === "name" ? { title: row.name } : {})));
    return tr;
  }));
  for (const [name, [title, , unit]] of Object.entries(columns)) {
    const th = make("th", unit && unit !== "%" ? `${title}, ${unit}` : title + (unit ? ", %" : ""), { tabIndex: 0 });
    const sort = () => {
      const down = th.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const value = (row) => row[name] ?? (down > 0 ? Infinity : -Infinity);
      shown.sort((a, b) => (typeof a[name] === "string" ? down * a[name].localeCompare(b[name]) : down * (value(a) - value(b))));
      for (const other of head.children) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      fill();
    };
    th.onclick = sort;
    th.onkeydown = (event) => { if (event.key === "Enter") sort(); };
    head.append(th);
  }
  thead.append(head);
  table.append(thead, tbody);
  fill();
}

function settings() {
  const changed = report.settings;
  $("#settings p").textContent = changed.length ? "What differs from the defaults; all other settings have theirs." : "All settings of units have their defaults.";
  const row = (kind, ...cells) => { const tr = make("tr"); tr.append(...cells.map((text) => make(kind, text))); return tr; };
  if (changed.length) $("#settings table").append(row("th", "setting", "value", "default"), ...changed.map((cells) => row("td", ...cells)));
}

function explained() {
  $("#explained").hidden = !report.explained.length;
  for (const [name, text] of report.explained) $("#explained dl").append(make("dt", words(name)), make("dd", text));
}

let fading = 0;
function copy(frame) {
  const toast = $(".toast"), command = `${report.command} ${frame}`, told = (how) => toast.replaceChildren(make("b", `${how}  `), command);
  told("run");
  if (navigator.clipboard) navigator.clipboard.writeText(command).then(() => told("copied"), () => {});
  toast.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { toast.hidden = true; }, 6000);
}

$("h1").textContent = report.title;
$("header small").textContent = report.subtitle;
$(".notes").append(...report.notes.map((note) => make("li", note)));
$(".notes").hidden = !report.notes.length;
for (const part of [cards, pairs, sizes, clusters, course, grades, time, cameras, frames, settings, explained]) part();
// An odd last plot takes the whole row.
const left = document.querySelectorAll(".plots figure");
if (left.length % 2) left[left.length - 1].classList.add("spare");
Promise.all(drawings).then(() => { document.body.dataset.ready = "yes"; });
