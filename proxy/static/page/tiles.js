// Which images show one tile, and the tile's verdict: the rule of POST /analyze/tile, over the answers that are here.

import { isOpen } from "./item.js";
import { score, verdictOf } from "./words.js";

// Two folders may have files of one name, of two tiles.
const pathOf = ({ folder, name }) => (folder ? `${folder}/${name}` : name);

const RULES = {
  name: (item) =>
    pathOf(item)
      .replace(/\.[^./]*$/, "")
      .match(/^((?:.*\/)?[^/]+)[_-][^/]*$/)?.[1],
  folder: ({ folder }) => folder,
  pattern: (item, pattern) => pattern && ((match) => match?.[1] ?? match?.[0])(pathOf(item).match(pattern)),
};

// The tile of an item by a rule: name, folder or pattern; an image that fits no rule is a tile of its own.
export function tileOf(item, rule, pattern) {
  return RULES[rule]?.(item, pattern) || pathOf(item);
}

// { verdict, score, alarm, review, type, area, failed, count } of the images of one tile. Failed ones do not count for the
// score. While an image is on its way, its state is the tile's verdict. Answers of two models have no score in common:
// such a tile's verdict is "mixed".
export function judge(items) {
  const answers = items.filter(({ state }) => state === "done").map(({ answer }) => answer);
  const failed = items.filter(({ state }) => state === "failed").length;
  const found = { count: items.length, failed, area: null, score: null, alarm: null, review: null, type: null };
  const open = items.find(isOpen);
  if (open) return { ...found, verdict: open.state };
  if (!answers.length) return { ...found, verdict: verdictOf(items[0]) };
  const [{ model }] = answers;
  if (!answers.every((answer) => isSame(answer.model, model))) return { ...found, verdict: "mixed" };
  const mean = round(exactSum(answers.map((answer) => answer.score)) / answers.length);
  const alarm = model.tile_alarm_score;
  const review = model.tile_review_score;
  const area = answers.reduce((sum, answer) => sum + answer.defect_pixels, 0);
  return {
    ...found,
    score: mean,
    alarm,
    review,
    area,
    type: commonest(answers),
    verdict: verdictAt(mean, alarm, review),
  };
}

// The digest of the graph tells models apart; it may be unknown for a moment after a start.
function isSame(one, other) {
  if (one.sha256 && other.sha256) return one.sha256 === other.sha256;
  return ["name", "version", "commit"].every((key) => one[key] === other[key]);
}

// The limits of the verdicts on tiles in words, if all have the same; judged: what judge() returned of several tiles.
export function limitWords(judged) {
  const [found, ...others] = judged.filter(({ score }) => score !== null);
  if (!found || others.some(({ alarm, review }) => alarm !== found.alarm || review !== found.review)) return "";
  const review = found.review == null ? "" : `review from ${score(found.review)}, `;
  return `; by mean score: ${review}defect from ${score(found.alarm)}`;
}

function verdictAt(score, alarm, review) {
  if (score >= alarm) return "defect";
  return score >= (review ?? alarm) ? "review" : "ok";
}

function commonest(answers) {
  const sums = {};
  for (const { types } of answers)
    for (const [type, count] of Object.entries(types)) sums[type] = (sums[type] ?? 0) + count;
  const [type, count] = Object.entries(sums).reduce((best, each) => (each[1] > best[1] ? each : best), [null, 0]);
  return count ? type : null;
}

// The sum as the service rounds it, whatever the order. Source: A. Neumaier, ZAMM 54 (1974), 39–51.
function exactSum(values) {
  let [sum, lost] = [0, 0];
  for (const value of values) {
    const next = sum + value;
    lost += Math.abs(sum) < Math.abs(value) ? value - next + sum : sum - next + value;
    sum = next;
  }
  return sum + lost;
}

// As the service rounds: the binary value, not 10,000 times it. In the middle, where only odd multiples of 1/32 can be,
// to the even digit.
function round(value) {
  const rounded = Number(value.toFixed(4));
  const isMiddle = (32 * value) % 2 === 1;
  return isMiddle && Math.round(10000 * rounded) % 2 ? Number((rounded - 0.0001).toFixed(4)) : rounded;
}
