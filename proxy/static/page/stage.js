// A canvas that shows a picture larger or smaller and moves it: by wheel, drag, pinch, keys and buttons.

const LARGEST = 40; // screen pixels for each of the picture's
const STEP = 1.5;
const ARROWS = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] };
const AROUND = 4; // a defect that is jumped to fills this part of the canvas

export class Stage {
  #pointers = new Map();
  #frame = null;

  // paint(context, { scale, x, y, ratio }) draws the picture; x, y is the picture's point in the canvas's corner.
  // tell(scale) is called with the screen's pixels for each of the picture's.
  constructor(canvas, { paint, tell }) {
    Object.assign(this, { canvas, paint, tell, width: 1, height: 1, scale: 1, x: 0, y: 0 });
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("dblclick", (event) => this.zoom(STEP * STEP, ...this.#place(event)));
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"])
      canvas.addEventListener(type, (event) => this.#pointers.delete(event.pointerId));
  }

  // The scale at which the whole picture is seen.
  get fitting() {
    return Math.min(this.canvas.width / this.width, this.canvas.height / this.height) || 1;
  }

  get zoomed() {
    return this.scale > 1.001 * this.fitting;
  }

  open(width, height) {
    Object.assign(this, { width, height });
    this.fit();
  }

  fit() {
    this.#look(this.fitting, this.width / 2, this.height / 2);
  }

  // Larger or smaller around a place of the canvas; around its middle if none is given.
  zoom(factor, left = this.canvas.width / 2, top = this.canvas.height / 2) {
    const scale = this.#allowed(this.scale * factor);
    const [x, y] = [this.x + left / this.scale, this.y + top / this.scale];
    this.#look(scale, x + (this.canvas.width / 2 - left) / scale, y + (this.canvas.height / 2 - top) / scale);
  }

  // Show a box and what is around it.
  jump({ x, y, width, height }) {
    const scale = Math.min(this.canvas.width / width, this.canvas.height / height) / AROUND;
    this.#look(this.#allowed(scale), x + width / 2, y + height / 2);
  }

  redraw() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      const { scale, x, y } = this;
      this.paint(this.canvas.getContext("2d"), { scale, x, y, ratio: devicePixelRatio });
    });
  }

  #allowed(scale) {
    return Math.min(Math.max(scale, this.fitting), Math.max(LARGEST, this.fitting));
  }

  // Put a point of the picture into the middle; a picture that fits stays whole.
  #look(scale, x, y) {
    const centred = (at, length, room) =>
      length <= room ? length / 2 : Math.min(Math.max(at, room / 2), length - room / 2);
    const [across, down] = [this.canvas.width / scale, this.canvas.height / scale];
    this.scale = scale;
    this.x = centred(x, this.width, across) - across / 2;
    this.y = centred(y, this.height, down) - down / 2;
    this.canvas.style.touchAction = this.zoomed ? "none" : "pan-y"; // a finger scrolls the page past a whole picture
    this.tell(scale / devicePixelRatio);
    this.redraw();
  }

  #pan(left, top) {
    const { width, height } = this.canvas;
    this.#look(this.scale, this.x + (left + width / 2) / this.scale, this.y + (top + height / 2) / this.scale);
  }

  #resize() {
    const whole = !this.zoomed;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * devicePixelRatio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * devicePixelRatio));
    if (whole) this.fit();
    else this.#pan(0, 0);
  }

  #place({ offsetX, offsetY }) {
    return [offsetX * devicePixelRatio, offsetY * devicePixelRatio];
  }

  #wheel(event) {
    if (!this.zoomed && event.deltaY > 0) return; // the page scrolls on
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 400), ...this.#place(event));
  }

  #key(event) {
    const act = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      0: () => this.fit(),
    }[event.key];
    const arrow = this.zoomed && ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || !(act || arrow)) return;
    event.preventDefault();
    if (act) act();
    else this.#pan(...arrow.map((step) => step * devicePixelRatio));
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#place(event));
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) this.zoom(distance(now, other) / Math.max(1, distance(before, other)), ...middle(now, other));
    if (this.zoomed) this.#pan(...[0, 1].map((axis) => (before[axis] - now[axis]) / (other ? 2 : 1)));
    this.#pointers.set(event.pointerId, now);
  }
}

const distance = ([a, b], [c, d]) => Math.hypot(a - c, b - d);
const middle = ([a, b], [c, d]) => [(a + c) / 2, (b + d) / 2];
