// Puts the page together: what comes in, the queue, the table, the large view and what is saved.

import { listenToCamera } from "./page/camera.js";
import { csvOf } from "./page/csv.js";
import { listen } from "./page/intake.js";
import { isOpen, itemOf } from "./page/item.js";
import { overlayOf } from "./page/overlay.js";
import { readPicture } from "./page/picture.js";
import { Queue } from "./page/queue.js";
import { drawThumb } from "./page/rows.js";
import { offerSamples } from "./page/samples.js";
import { save } from "./page/save.js";
import { Table } from "./page/table.js";
import { View } from "./page/view.js";
import { Watch } from "./page/watch.js";
import { listed, plural, stem, tally, verdictOf } from "./page/words.js";
import { zipOf } from "./page/zip.js";

const $ = (id) => document.getElementById(id);
const items = new Map(); // by their keys, in the order in which they came
let unread = []; // paths of what was dropped last and could not be read

const watch = new Watch(tellHealth);
const queue = new Queue(watch, changed);
const view = new View();
const table = new Table(choose);

// A file that is here already is analysed again: its new item takes the old one's place, so that it counts once. A file
// that is on its way goes on.
function take(found) {
  refuse("");
  const added = [];
  for (const item of found.map(itemOf)) {
    const earlier = items.get(item.key);
    if (earlier && isOpen(earlier)) continue;
    items.set(item.key, item);
    added.push(item);
  }
  if (!added.length) return;
  table.show([...items.values()]);
  queue.add(added);
  for (const id of ["bar", "results"]) $(id).hidden = false;
  document.body.classList.add("used");
  const viewed = view.item ? items.get(view.item.key) : added[0];
  if (viewed !== view.item) select(viewed);
}

function changed(item) {
  table.changed(item);
  if (item.state === "done" && !told) tellModel(item.answer.model); // where a front proxy hides whether it is ready
  if (item.state === "done")
    readPicture(item.file, item.answer).then(
      (read) => drawThumb(item, read.source),
      () => {},
    );
  if (item === view.item) {
    if (isOpen(item)) view.rewrite();
    else view.show(item);
  }
  report();
}

function select(item) {
  table.select(item);
  view.show(item);
}

// Chosen in the table, which may stand below: bring the large view to sight.
function choose(item) {
  select(item);
  const { top } = $("view").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) $("view").scrollIntoView();
}

function step(by) {
  const other = table.beside(view.item, by);
  if (other) select(other);
}

// Many images change at once, when they are chosen: all of them are counted once.
let reporting = false;
function report() {
  if (reporting) return;
  reporting = true;
  queueMicrotask(() => {
    reporting = false;
    writeReport();
  });
}

function writeReport() {
  const all = [...items.values()];
  const left = all.filter(isOpen).length;
  const failed = all.filter(({ state }) => state === "failed").length;
  const done = all.length - left - failed;
  const found = tally(all.map(verdictOf));
  const words = `${done} analysed${found && `: ${found}`}${failed ? `; ${failed} failed` : ""}`;
  const lost = unread.length ? `; not read: ${listed(unread)}. Look at their permissions, and drop them again` : "";
  write("status", (left ? `Analysing ${plural(all.length, "image")}…` : words) + lost);
  const step = left ? `${done + failed} of ${all.length}` : "";
  write("count", step);
  $("shown").ariaLive = left ? "off" : "polite"; // else the counts of tiles would be read out with each answer
  $("progress").hidden = !left;
  Object.assign($("progress"), { max: all.length, value: done + failed, ariaValueText: step });
  $("retry").hidden = !failed;
  $("retry").textContent = `Try ${plural(failed, "failed image")} again`;
}

// A screen reader reads out what is written, also if it is the same again.
function write(id, words) {
  if ($(id).textContent !== words) $(id).textContent = words;
}

// Say what could not be done, until the next click.
function refuse(words) {
  $("refusal").textContent = words;
  $("refusal").hidden = !words;
}

function tellHealth({ reachable, model, reason }) {
  if (model) tellModel(model);
  $("away").hidden = reachable;
  const waiting = [...items.values()].filter(isOpen).length;
  const wait = waiting ? ` ${plural(waiting, "image")} will be analysed when it is back.` : "";
  const why = reason ? ` (${reason})` : "";
  const words = `The service could not be reached${why}. The page tries again every two seconds.${wait}`;
  write("away-text", reachable ? "" : words);
}

let told = null;
function tellModel(model) {
  if (told === JSON.stringify(model)) return;
  told = JSON.stringify(model);
  document.title = $("title").textContent = model.title ?? model.name;
  offerSamples(model.types ?? [], take, ({ message }) => {
    refuse(`The sample could not be fetched: ${message}`);
    watch.untilBack();
  }).catch(() => (told = null)); // the next answer tells it again
}

function clear() {
  items.clear();
  unread = [];
  queue.clear();
  table.show([]);
  view.show(null);
  for (const id of ["bar", "results"]) $(id).hidden = true;
  document.body.classList.remove("used");
}

async function saveZip() {
  const done = table.rows().filter(({ answer }) => answer);
  const files = [];
  const lost = [];
  for (const [place, item] of done.entries()) {
    $("shown").textContent = `Drawing overlay ${place + 1} of ${done.length}…`;
    try {
      const folder = item.folder && `${item.folder}/`;
      files.push({ name: `${folder}${stem(item.name)}_overlay.png`, blob: await overlayOf(item) });
    } catch {
      lost.push(item.name);
    }
  }
  $("shown").textContent = ""; // what refuses the zip is told above
  if (files.length) save(await zipOf(files), "overlays.zip");
  const rest = lost.length ? ` These could not be drawn: ${listed(lost)}. Choose them again.` : "";
  $("shown").textContent = `${plural(files.length, "overlay")} saved.${rest}`;
}

async function saveMask() {
  const { name } = view.item;
  save(await view.exploring.mask(), `${stem(name)}_mask.png`);
}

async function saveOverlay() {
  const { item, shown } = view;
  await shown; // its marks may be those of other limits than the answer's
  save(await overlayOf(item, view.item === item ? view.layers : null), `${stem(item.name)}_overlay.png`);
}

// What a button does may fail: tell it where the reader looks.
function onClick(id, act) {
  $(id).addEventListener("click", async () => {
    refuse("");
    try {
      await act();
    } catch (problem) {
      refuse([problem.message, problem.detail].filter(Boolean).join(": "));
    }
  });
}

listen({ drop: $("drop"), inputs: [$("files"), $("folder"), $("photograph")] }, take, (paths) => {
  unread = paths;
  if (unread.length) $("bar").hidden = false;
  report();
});
$("choose-folder").addEventListener("click", () => $("folder").click());
listenToCamera($("photograph"), take);
$("intake").addEventListener("submit", (event) => event.preventDefault());
onClick("clear", clear);
onClick("retry", () => take([...items.values()].filter(({ state }) => state === "failed")));
onClick("again", () => take([view.item]));
onClick("previous", () => step(-1));
onClick("next", () => step(1));
onClick("away-retry", () => watch.hurry());
$("zoom-full").hidden = !document.fullscreenEnabled; // as on iPhones
onClick("zoom-full", () => (document.fullscreenElement ? document.exitFullscreen() : $("view").requestFullscreen()));
onClick("save-csv", () => save(new Blob(["\ufeff", csvOf(table.rows())], { type: "text/csv" }), "results.csv"));
onClick("save-zip", saveZip);
onClick("save-mask", saveMask);
onClick("save-overlay", saveOverlay);
window.addEventListener("online", () => watch.hurry());
watch.untilBack();
