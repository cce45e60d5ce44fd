// The page alone in its file: it shows the scene that is written there, and leads to other frames' files.

const written = JSON.parse($("#scene").textContent);
window.xmodal = new Page(new Model(written));
window.xmodal.start();

// Stage and image go along; the chosen unit does not: in another frame its number is another unit's.
function leadTo(file, text, key) {
  const link = make("a", text, { title: `${text} (${key})`, href: encodeURIComponent(file) });
  link.onclick = () => { link.hash = location.hash.replace(/&?\bunit=\d+/, ""); };
  addEventListener("keydown", (event) => {
    if (event.key === key && !event.ctrlKey && !event.metaKey && !event.altKey && !$("#help").open) link.click();
  });
  $("#help dl").append(make("dt", key), make("dd", text));
  return link;
}

const [previous, following] = written.links, frames = make("nav", "", { className: "frames" });
if (previous) frames.append(leadTo(previous, "Previous frame", "p"));
if (following) frames.append(leadTo(following, "Next frame", "n"));
if (frames.children.length) $(".name").after(frames);
