// Other operating points of the image in the large view: the mask at once, from the probability image; then the
// service's own answer, with its defects and their types.

import { areaOf, maskAt } from "./marks.js";
import { readGrey } from "./picture.js";
import { Point } from "./point.js";
import { analyse, picture } from "./service.js";
import { pixels } from "./words.js";

export class Exploring {
  #item = null;
  #probability = null; // a promise of the grey levels, once the sliders are used
  #turn = 0; // of several questions only the last one's answer counts

  // onMask(mask) at each movement of a slider, onAnswer(answer) when it rests.
  constructor({ onMask, onAnswer }) {
    Object.assign(this, { onMask, onAnswer });
    this.point = new Point({ onFirst: () => this.#fetch(), onMove: () => this.#move(), onRest: () => this.#rest() });
  }

  // Turn to another item, or to none: null.
  start(item) {
    this.#item = item;
    this.#probability = null;
    this.#turn += 1;
    this.point.stop();
    if (item?.answer) this.point.reset(shippedOf(item.answer));
  }

  // What a request needs to be answered as the view shows it.
  get query() {
    return this.point.moved ? this.point.query : {};
  }

  #fetch() {
    const item = this.#item;
    this.#probability ??= this.#levels(item).catch((problem) => {
      if (item !== this.#item) return null; // another one is shown meanwhile
      this.#probability = null;
      this.point.tell(`The probabilities could not be fetched: ${problem.message}. Move the slider to try again.`);
      return null;
    });
    return this.#probability;
  }

  async #levels(item) {
    const { blob, model } = await picture(item.file, "probability");
    refuseOther(model, item);
    return readGrey(blob);
  }

  // The mask as the view shows it, as a PNG.
  async mask() {
    const item = this.#item;
    const { blob, model } = await picture(item.file, "mask", this.query);
    refuseOther(model, item);
    return blob;
  }

  async #move() {
    const turn = ++this.#turn;
    const levels = await this.#fetch();
    if (!levels || turn !== this.#turn) return;
    const mask = maskAt(levels, this.point.level, this.#item.answer.score >= this.point.alarm);
    this.onMask(mask);
    this.point.tell(`${pixels(areaOf(mask))} defective`);
  }

  async #rest() {
    const turn = this.#turn;
    const asked = this.point.moved ? analyse(this.#item.file, { mask: "rle", ...this.point.query }) : this.#item.answer;
    try {
      const answer = await asked;
      if (turn !== this.#turn) return;
      refuseOther(answer.model.sha256, this.#item);
      this.#turn += 1; // grey levels that come later would wipe out the answer's defects
      if (this.point.moved) this.point.tell(`${pixels(answer.defect_pixels)} defective`);
      this.onAnswer(answer);
    } catch (problem) {
      if (turn === this.#turn) this.point.tell(`The defects could not be listed: ${problem.message}`);
    }
  }
}

// Two models' answers would be mixed in one view.
function refuseOther(model, { answer }) {
  const other = model && answer.model.sha256 && model !== answer.model.sha256;
  if (other) throw new Error("the service now has another model: analyse this image again");
}

// The model's own operating point.
function shippedOf({ model: { threshold, alarm_score } }) {
  return { threshold, alarm_score };
}
