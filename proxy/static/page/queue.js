// Images wait here, not in the server's queue: a few uploads are in flight at once.

import { analyse } from "./service.js";

const AT_ONCE = 4;
const ONE_BY_ONE = [0, 408]; // statuses of uploads that may have been too slow beside each other
const TRIES = 6; // of one image; while the service is away the image waits, and that is one try
const PAUSE_S = 1; // where the service names no other

export class Queue {
  #waiting = [];
  #running = 0;
  #atOnce = AT_ONCE;
  #end = new AbortController(); // of the work on all that was added since the last clear()

  // onChange(item) is called when an item's state has changed.
  constructor(watch, onChange) {
    this.watch = watch;
    this.onChange = onChange;
  }

  // How many are not done.
  get left() {
    return this.#waiting.length + this.#running;
  }

  add(items) {
    if (!this.left) this.#atOnce = AT_ONCE; // what slowed the images before these down may be over
    for (const item of items) {
      Object.assign(item, { tries: 0, signal: this.#end.signal });
      this.#waiting.push(item);
      this.#enter(item, "waiting");
    }
    while (this.#running < Math.min(this.#atOnce, this.left)) this.#work(this.#end.signal);
  }

  // Forget all, end the requests in flight, and leave their places to others.
  clear() {
    this.#end.abort();
    this.#end = new AbortController();
    this.#waiting = [];
    this.#running = 0;
  }

  async #work(signal) {
    this.#running += 1;
    while (this.#waiting.length && this.#running <= this.#atOnce) {
      await this.#analyse(this.#waiting.shift());
      if (signal.aborted) return; // its place is no longer counted
    }
    this.#running -= 1;
  }

  async #analyse(item) {
    this.#enter(item, "running");
    try {
      item.answer = await analyse(item.file, { mask: "rle" }, item.signal);
      this.#enter(item, "done");
    } catch (problem) {
      if (!(await this.#again(item, problem))) {
        item.problem = problem;
        this.#enter(item, "failed");
      }
    }
  }

  // Put an item back once it may be answered, and return whether it was put back. Until then the worker that waits keeps
  // it: the others would send it at once.
  async #again(item, problem) {
    if (!problem.passes || item.signal.aborted || !(await isReadable(item.file))) return false;
    const away = !(await this.watch.check());
    if (away) this.watch.untilBack(); // tells when it is back, whatever becomes of this image
    if (item.signal.aborted) return false;
    item.tries += 1; // also while the service is away: this image may be what ends it
    if (!away && ONE_BY_ONE.includes(problem.status)) this.#atOnce = 1;
    if (item.tries >= TRIES) return false;
    this.#enter(item, "waiting");
    if (away) await this.watch.untilBack();
    else await new Promise((resolve) => setTimeout(resolve, 1000 * (problem.retryAfter ?? PAUSE_S)));
    if (item.signal.aborted) return false;
    this.#waiting.unshift(item);
    return true;
  }

  #enter(item, state) {
    item.state = state;
    if (!item.signal.aborted) this.onChange(item);
  }
}

// A file that was changed or moved after it was chosen can never be sent.
const isReadable = (file) =>
  file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
