// The page alone in its file: it shows the scene that is written there.

window.xmodal = new Page(new Model(JSON.parse($("#scene").textContent)));
window.xmodal.start();
