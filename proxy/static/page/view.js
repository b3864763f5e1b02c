// The large view of one image: its picture and marks, and the tools that change how they look.

import { Exploring } from "./exploring.js";
import { RED, paint } from "./paint.js";
import { fillOf, maskOfRle, outlineOf } from "./marks.js";
import { writeDefects, writePanel } from "./panel.js";
import { readAnyPicture, readGrey } from "./picture.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const USUAL_OPACITY = { outline: 1, fill: 0.4, none: 1 };
const ZOOM = 1.5;

export class View {
  item = null;
  shown = null; // a promise: the picture is there, or cannot be
  #layers = null;
  #early = null; // { mask, defects } that came while the picture was being read
  #turn = 0; // of several images that are being read, the last one is shown

  constructor() {
    this.stage = new Stage($("stage"), { paint: (context, at) => this.#paint(context, at), tell: tellZoom });
    this.exploring = new Exploring({
      onMask: (mask) => {
        this.#remark(mask, []);
        $("defects").classList.add("stale");
      },
      onAnswer: (answer) => this.#write(answer),
    });
    const zooms = {
      "zoom-in": () => this.stage.zoom(ZOOM),
      "zoom-out": () => this.stage.zoom(1 / ZOOM),
      "zoom-fit": () => this.stage.fit(),
    };
    for (const [id, act] of Object.entries(zooms)) $(id).addEventListener("click", act);
    for (const id of ["opacity", "wipe", "truth"]) $(id).addEventListener("input", () => this.stage.redraw());
    $("contrast").addEventListener("input", () => this.#setContrast());
    $("marks").addEventListener("change", () => {
      $("opacity").value = USUAL_OPACITY[styleNow().marks];
      this.stage.redraw();
    });
  }

  // Show an item in whatever state it is; null closes the view.
  show(item) {
    this.shown = this.#show(item);
  }

  // Write the item's state, which has changed; its picture stays.
  rewrite() {
    this.#write(this.item.answer);
  }

  async #show(item) {
    const turn = ++this.#turn;
    this.item = item;
    this.#layers = null;
    this.stage.redraw();
    this.exploring.start(item);
    $("view").hidden = !item;
    if (!item) return;
    $("view-name").textContent = item.name;
    note("Reading the image…");
    this.#write(item.answer);
    this.#early = null; // the item's own marks come with its picture
    try {
      const layers = await layersOf(item);
      if (turn !== this.#turn) return;
      this.#layers = layers;
      if (this.#early) this.#remark(this.#early.mask, this.#early.defects);
      $("truth-label").hidden = !layers.truth;
      note("");
      this.#setContrast();
      this.stage.open(layers.width, layers.height);
    } catch (problem) {
      if (turn !== this.#turn) return;
      const wasAsked = problem.status !== undefined; // the service, which reads what the browser does not
      note(
        wasAsked
          ? `The picture could not be fetched: ${problem.message}. Choose it again in the table.`
          : "The browser cannot show this file.",
      );
    }
  }

  // What is marked now, for an overlay; null while the picture is not there.
  get layers() {
    return this.#layers && { ...this.#layers, highlighted: null, truth: null };
  }

  #paint(context, at) {
    if (!this.#layers) return context.reset(); // clearRect() would clear through the transform of the picture before
    const truth = $("truth").checked ? this.#layers.truth : null;
    paint(context, at, { ...this.#layers, truth }, styleNow());
  }

  #setContrast() {
    if (!this.#layers) return;
    this.#layers.image.setContrast(Number($("contrast").value));
    this.#layers.picture = this.#layers.image.shown;
    this.stage.redraw();
  }

  #remark(mask, defects) {
    if (!this.#layers) {
      this.#early = { mask, defects };
      return;
    }
    const { width, height } = this.#layers;
    Object.assign(this.#layers, marksOf(mask, width, height), { defects, highlighted: null });
    this.stage.redraw();
  }

  // Write an answer's words; the item's own, or one at another operating point.
  #write(answer) {
    writePanel(this.item, answer);
    const defect = answer?.type ? `Defect: ${answer.type}` : "Defect";
    const found = { defect, review: "For review", ok: "No defect" }[answer?.verdict];
    const words = answer ? `${found}, ${answer.defect_pixels} pixels marked` : "";
    $("stage").ariaLabel = `${this.item.name}. ${words}. The keys + and − zoom, the arrows move.`;
    writeDefects(answer?.defects ?? [], {
      onJump: (defect) => this.stage.jump(defect.box),
      onHighlight: (defect) => {
        if (this.#layers) this.#layers.highlighted = defect;
        this.stage.redraw();
      },
    });
    if (answer?.rle) this.#remark(maskOfRle(answer.rle), answer.defects);
    $("defects").classList.remove("stale");
  }
}

function note(words) {
  $("stage-note").textContent = words;
  $("stage-note").hidden = !words;
}

function tellZoom(scale) {
  $("zoom").textContent = `${Math.round(100 * scale)} %`;
}

function styleNow() {
  const marks = document.querySelector("#marks input:checked").value;
  return { marks, opacity: Number($("opacity").value), wipe: Number($("wipe").value) / 100 };
}

// Everything that is drawn of an item: { width, height, image, picture, outline, fill, truth, defects, highlighted }.
export async function layersOf({ file, answer, truth }) {
  const image = await readAnyPicture(file, answer);
  const { width, height } = image.source;
  const mask = answer ? maskOfRle(answer.rle) : new Uint8Array(width * height);
  const known =
    truth &&
    outlineOf(
      (await readGrey(truth.mask)).map((grey) => (grey > 127 ? 1 : 0)),
      width,
      height,
    );
  const marks = marksOf(mask, width, height);
  return {
    width,
    height,
    image,
    picture: image.shown,
    truth: known,
    ...marks,
    defects: answer?.defects ?? [],
    highlighted: null,
  };
}

function marksOf(mask, width, height) {
  return { outline: outlineOf(mask, width, height), fill: fillOf(mask, width, height, RED) };
}
