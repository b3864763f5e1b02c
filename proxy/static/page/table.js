// The table of results: one row for each image; sorted, filtered and grouped by tile.

import { judge, limitWords, tileOf } from "./tiles.js";
import { fillRow, rowFor, rowOfTile } from "./rows.js";
import { compareNames, plural, tally, verdictOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const TOGETHER_MS = 100; // changes within this time are one arrangement
const SHARE = 10; // of the time, arranging takes at most one part in so many
const ORDER = ["waiting", "running", "failed", "mixed", "ok", "review", "defect"];
const KEYS = {
  name: (row) => row.name.toLowerCase(),
  verdict: (row) => ORDER.indexOf(row.verdict),
  type: (row) => row.type ?? "",
  score: (row) => row.score ?? -1,
  area: (row) => row.area ?? -1,
};

export class Table {
  #items = [];
  #shown = []; // in the order of the table
  #selected = null; // the item in the large view, in the table or not
  #timer = null;
  #cost_ms = 0; // of the last arrangement
  #sort = { key: null, down: false }; // no key: as they came

  // onSelect(item) is called when an image is chosen.
  constructor(onSelect) {
    this.onSelect = onSelect;
    for (const head of document.querySelectorAll("#table th[data-key]")) {
      head.querySelector("button").addEventListener("click", () => this.#sortBy(head.dataset.key));
    }
    for (const id of ["search", "show", "group", "pattern"]) $(id).addEventListener("input", () => this.arrange());
  }

  get grouped() {
    return $("group").value !== "";
  }

  // The rows that are shown, in their order, for a file: items with their tile where they are grouped.
  rows() {
    if (this.#timer) this.arrange(); // results have come since the last time
    if (!this.grouped) return [...this.#shown];
    const tiles = this.#tiles(this.#items); // the verdict counts all images of a tile, shown or not
    return this.#shown.map((item) => ({
      ...item,
      tile: this.#tileOf(item),
      judged: tiles.get(this.#tileOf(item)).judged,
    }));
  }

  // Show these items and no others, in the order in which they came.
  show(items) {
    for (const item of items) item.row ??= rowFor(item, () => this.onSelect(item));
    this.#items = items;
    this.arrange();
  }

  changed(item) {
    fillRow(item);
    if (this.grouped || this.#sort.key || $("show").value || $("search").value) this.#later(); // else it stays where it is
  }

  select(item) {
    this.#selected?.row.removeAttribute("aria-current");
    this.#selected = item;
    item?.row.setAttribute("aria-current", "true");
  }

  // The image that is so many rows away, in the order shown.
  beside(item, step) {
    return this.#shown[this.#shown.indexOf(item) + step] ?? null;
  }

  arrange() {
    clearTimeout(this.#timer);
    this.#timer = null;
    $("pattern-label").hidden = $("group").value !== "pattern";
    const groups = this.grouped
      ? this.#tileGroups()
      : [{ rows: this.#sorted(this.#items.filter((item) => this.#passes(item))) }];
    this.#shown = groups.flatMap(({ rows }) => rows);
    const focused = document.activeElement;
    for (const body of $("table").querySelectorAll("tbody")) body.remove();
    $("table").append(...groups.map(bodyOf));
    if (focused !== document.activeElement && $("table").contains(focused)) focused.focus({ preventScroll: true });
    this.#tell(groups);
  }

  #later() {
    this.#timer ??= setTimeout(
      () => {
        const began = performance.now();
        this.arrange();
        this.#cost_ms = performance.now() - began;
      },
      Math.max(TOGETHER_MS, SHARE * this.#cost_ms),
    );
  }

  #sortBy(key) {
    const same = this.#sort.key === key;
    const numeric = key !== "name" && key !== "type"; // the worst first
    this.#sort = { key, down: same ? !this.#sort.down : numeric };
    for (const head of document.querySelectorAll("#table th[data-key]")) {
      if (head.dataset.key === key) head.ariaSort = this.#sort.down ? "descending" : "ascending";
      else head.removeAttribute("aria-sort");
    }
    this.arrange();
  }

  // things: items, or tiles with the same keys; nothing is sorted until a head is clicked
  #sorted(things, look = lookOf) {
    const { key, down } = this.#sort;
    if (!key) return things;
    const keyed = things.map((thing) => [KEYS[key](look(thing)), thing]);
    const sign = down ? -1 : 1;
    const compare = key === "name" || key === "type" ? compareNames : (a, b) => a - b;
    return keyed.sort(([a], [b]) => sign * compare(a, b)).map(([, thing]) => thing);
  }

  #tiles(items) {
    const tiles = new Map();
    for (const item of items) {
      const name = this.#tileOf(item);
      if (!tiles.has(name)) tiles.set(name, { name, items: [] });
      tiles.get(name).items.push(item);
    }
    for (const tile of tiles.values()) tile.judged = judge(tile.items);
    return tiles;
  }

  #tileGroups() {
    const groups = [...this.#tiles(this.#items).values()].map((tile) => ({
      ...tile,
      rows: tile.items.filter((item) => this.#passes(item, tile.judged.verdict)),
    }));
    const sorted = this.#sorted(
      groups.filter(({ rows }) => rows.length),
      ({ name, judged }) => ({ name, ...judged }),
    );
    return sorted.map((tile) => ({ ...tile, rows: this.#sorted(tile.rows) }));
  }

  #tileOf(item) {
    return tileOf(item, $("group").value, patternIn($("pattern")));
  }

  // An image passes by its own verdict or by its tile's: a tile for review may have no image for review.
  #passes(item, tileVerdict = null) {
    const { value } = $("show");
    const unfamiliar = item.answer?.familiar === false;
    const words = [item.name, item.folder, item.answer?.type ?? "", this.grouped ? this.#tileOf(item) : ""]
      .join(" ")
      .toLowerCase();
    return (
      (["", verdictOf(item), tileVerdict].includes(value) || (value === "unfamiliar" && unfamiliar)) &&
      words.includes($("search").value.trim().toLowerCase())
    );
  }

  #tell(groups) {
    const images = plural(this.#items.length, "image");
    const hidden = this.#shown.length < this.#items.length ? `${this.#shown.length} of ${images} shown` : images;
    $("shown").textContent = this.grouped ? `${hidden}; ${wordsOf(groups.map(({ judged }) => judged))}` : hidden;
  }
}

function lookOf(item) {
  const { type, score, defect_pixels: area } = item.answer ?? {};
  return { name: item.name, verdict: verdictOf(item), type, score, area };
}

function wordsOf(tiles) {
  const found = tally(tiles.map(({ verdict }) => verdict));
  return plural(tiles.length, "tile") + (found && `: ${found}`) + limitWords(tiles);
}

function bodyOf(group) {
  const body = document.createElement("tbody");
  if (group.judged) body.append(rowOfTile(group.name, group.judged));
  body.append(...group.rows.map(({ row }) => row));
  return body;
}

function patternIn(input) {
  try {
    const pattern = new RegExp(input.value);
    input.setCustomValidity("");
    return pattern;
  } catch (error) {
    input.setCustomValidity(error.message);
    return null;
  }
}
