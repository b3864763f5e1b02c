// Whether the service is there. While it is away it is asked again and again; whoever waits goes on when it is back.

import { health } from "./service.js";

const INTERVAL_MS = 2000;

export class Watch {
  #back = null; // a promise while the service is away
  #wake = () => {};

  // onChange({ reachable, model, reason }) is called after each question.
  constructor(onChange) {
    this.onChange = onChange;
  }

  // Ask once; return whether the service can be reached.
  async check() {
    const found = await health();
    this.onChange(found);
    return found.reachable;
  }

  // Return when the service can be reached.
  untilBack() {
    this.#back ??= this.#poll().finally(() => (this.#back = null));
    return this.#back;
  }

  // Ask at once and not at the next turn.
  hurry() {
    this.#wake();
  }

  async #poll() {
    while (!(await this.check())) {
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, INTERVAL_MS);
      });
    }
  }
}
