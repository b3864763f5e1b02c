// The rows of the table: of an image, and of a tile.

import { RED } from "./paint.js";
import { fillOf, maskOfRle } from "./marks.js";
import { VERDICTS, pixels, plural, score, share, verdictOf } from "./words.js";

const THUMB = 44; // CSS pixels

export function rowFor(item, onSelect) {
  const row = document.getElementById("row").content.firstElementChild.cloneNode(true);
  row.querySelector("th button").append(...breakable(item.name));
  if (item.folder) row.querySelector("th button").title = `${item.folder}/${item.name}`;
  row.addEventListener("click", onSelect);
  fillRow({ ...item, row });
  return row;
}

// Write an item's state into its row.
export function fillRow(item) {
  const { row, answer, problem } = item;
  const cell = (name) => row.querySelector(name);
  cell(".verdict-cell").replaceChildren(...badgesOf(item));
  cell(".verdict-cell").dataset.type = answer?.type ?? ""; // a phone has no room for the next column
  cell(".type").textContent = answer?.type ?? "";
  cell(".score").textContent = answer ? score(answer.score) : "";
  cell(".area").textContent = answer ? pixels(answer.defect_pixels) : "";
  cell(".area").title = answer ? share(answer.defect_pixels, answer) : "";
  cell(".note").textContent = problem ? problem.title : warningsOf(answer);
}

function warningsOf(answer) {
  const codes = (answer?.warnings ?? []).map(({ code }) => code).filter((code) => code !== "unfamiliar"); // has a badge
  return codes.length ? `Warning: ${codes.join(", ")}` : "";
}

// Draw the picture with its marks into the row, once they are known.
export function drawThumb({ row, answer }, picture) {
  const canvas = row.querySelector("canvas");
  const [width, height] = [answer.width, answer.height];
  const scale = (2 * THUMB) / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (answer.defect_pixels)
    context.drawImage(fillOf(maskOfRle(answer.rle), width, height, RED), 0, 0, canvas.width, canvas.height);
}

export function rowOfTile(name, { verdict, score: mean, failed, count }) {
  const row = document.createElement("tr");
  row.className = "tile";
  const head = document.createElement("th");
  Object.assign(head, { colSpan: 6, scope: "rowgroup" });
  const title = document.createElement("strong");
  title.textContent = name;
  const facts = document.createElement("span");
  const judged = mean === null ? "" : `, mean score ${score(mean)}`;
  const todo = verdict === "mixed" ? ", analyse them again" : "";
  facts.textContent = `${plural(count, "image")}${judged}${todo}${failed ? `, ${failed} failed and not counted` : ""}`;
  head.append(title, " ", badge(verdict, VERDICTS[verdict]), " ", facts);
  row.append(head);
  return row;
}

export function badge(kind, words) {
  const span = document.createElement("span");
  span.className = `badge ${kind}`;
  span.textContent = words;
  return span;
}

export function badgesOf(item) {
  const verdict = verdictOf(item);
  const unfamiliar = item.answer?.familiar === false ? [" ", badge("unfamiliar", "Unfamiliar")] : [];
  return [badge(verdict, VERDICTS[verdict]), ...unfamiliar];
}

// A long name breaks after a part of it, not within one.
function breakable(name) {
  return name.split(/(?<=[_-])/).flatMap((part) => [part, document.createElement("wbr")]);
}
