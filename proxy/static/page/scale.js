// Where an image's score stands: a bar with a zone for each verdict, and the limits in words.

import { VERDICTS, exact } from "./words.js";

const $ = (id) => document.getElementById(id);

export function writeScale({ score, verdict, alarm_score, model }) {
  const zones = zonesOf(alarm_score, model.review_score);
  $("score").textContent = exact(score);
  $("scale-score").style.left = `${100 * score}%`;
  $("scale-zones").replaceChildren(...zones.map(stripOf));
  $("limits").replaceChildren(...zones.map((zone) => limitOf(zone, verdict)));
}

// The verdicts that a score can have, each with the scores from which on and up to which it is given.
function zonesOf(alarm, review) {
  const middle = Math.min(review ?? alarm, alarm);
  return [
    { kind: "ok", from: 0, to: middle },
    { kind: "review", from: middle, to: alarm },
    { kind: "defect", from: alarm, to: 1 },
  ].filter(({ kind, from, to }) => kind === "defect" || from < to);
}

function stripOf({ kind, from, to }) {
  const strip = document.createElement("span");
  strip.className = kind;
  strip.style.flexGrow = to - from;
  return strip;
}

function limitOf({ kind, from, to }, verdict) {
  const line = document.createElement("li");
  line.className = kind;
  const limit = document.createElement("span");
  limit.textContent = VERDICTS[kind] + (kind === "ok" ? ` below ${exact(to)}` : ` from ${exact(from)}`);
  line.append(limit, kind === "review" ? ": a person should look" : "");
  if (kind === verdict) line.ariaCurrent = "true";
  return line;
}
