// The operating point of the large view: two sliders with the model's own values marked.

import { digits } from "./words.js";
import { levelOf } from "./marks.js";

const $ = (id) => document.getElementById(id);
const REST_MS = 350; // after the last movement the service is asked
const STEPS = { ArrowRight: 0.01, ArrowUp: 0.01, PageUp: 0.1, ArrowLeft: -0.01, ArrowDown: -0.01, PageDown: -0.1 };

export class Point {
  #timer = null;

  // onFirst() when the sliders are about to be used, onMove() at every movement, onRest() after the last one.
  constructor({ onFirst, onMove, onRest }) {
    this.onRest = onRest;
    for (const type of ["pointerover", "focusin"]) $("point").addEventListener(type, onFirst);
    for (const id of ["threshold", "alarm"]) $(id).addEventListener("input", () => this.#moved(onMove));
    // Where any value is allowed, Firefox's keys go from one end to the other
    $("alarm").addEventListener("keydown", (event) => {
      if (!(event.key in STEPS) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      $("alarm").value = Number($("alarm").value) + STEPS[event.key];
      this.#moved(onMove);
    });
    $("shipped").addEventListener("click", () => {
      this.reset(this.shipped);
      this.#moved(onMove);
    });
  }

  // The lowest grey level of a defective pixel, 1–255.
  get level() {
    return Number($("threshold").value);
  }

  get alarm() {
    return this.moved ? digits(Number($("alarm").value)) : this.shipped.alarm_score;
  }

  // What the service is asked with.
  get query() {
    return { threshold: digits(this.level / 255), alarm_score: this.alarm };
  }

  // Whether the sliders stand beside the model's values.
  get moved() {
    return this.level !== levelOf(this.shipped.threshold) || Number($("alarm").value) !== this.shipped.alarm_score;
  }

  // Forget the last movement.
  stop() {
    clearTimeout(this.#timer);
  }

  // shipped: the model's threshold and alarm_score, 0–1.
  reset(shipped) {
    this.shipped = shipped;
    $("threshold").value = levelOf(shipped.threshold);
    $("alarm").value = shipped.alarm_score;
    mark($("threshold-shipped"), (levelOf(shipped.threshold) - 1) / 254);
    mark($("alarm-shipped"), shipped.alarm_score);
    this.tell("");
    this.#write();
  }

  tell(words) {
    $("point-note").textContent = words;
  }

  #moved(onMove) {
    this.#write();
    onMove();
    this.stop();
    this.#timer = setTimeout(this.onRest, REST_MS);
  }

  #write() {
    const { threshold, alarm_score } = this.query;
    const of = (value) => `(the model’s: ${value.toFixed(4)})`;
    $("threshold-value").textContent = `${threshold.toFixed(4)} ${of(this.shipped.threshold)}`;
    $("alarm-value").textContent = `${alarm_score.toFixed(4)} ${of(this.shipped.alarm_score)}`;
    $("threshold").ariaValueText = threshold.toFixed(4);
    $("alarm").ariaValueText = alarm_score.toFixed(4);
    $("shipped").disabled = !this.moved;
  }
}

// The thumb's middle stands this far along its track.
function mark(sign, share) {
  sign.style.left = `calc(${share} * (100% - 16px) + 8px)`;
}
