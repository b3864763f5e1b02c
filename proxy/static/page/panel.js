// What is written beside the large view: verdict, warnings, score, defects, facts.

import { badge, badgesOf } from "./rows.js";
import { writeScale } from "./scale.js";
import { modelWords, pixels, score, share } from "./words.js";

const $ = (id) => document.getElementById(id);

// answer: the item's own, or the one at another operating point
export function writePanel(item, answer) {
  const { problem } = item;
  $("verdict").replaceChildren(
    ...badgesOf({ ...item, answer }),
    ...(answer?.type ? [" ", badge("type", answer.type)] : []),
  );
  $("answer").hidden = !answer;
  $("detail").hidden = !problem;
  $("detail").textContent = problem
    ? [`${problem.title}. ${problem.detail}`, problem.requestId && `Request ${problem.requestId}`]
        .filter(Boolean)
        .join(". ")
    : "";
  $("warnings").replaceChildren(...(answer?.warnings ?? []).map(({ detail }) => element("li", detail)));
  if (!answer) return;
  writeScale(answer);
  $("no-defects").textContent =
    answer.verdict === "review" ? "None is marked. To see where to look, lower the alarm score." : "None.";
  $("facts").replaceChildren(...Object.entries(factsOf(item, answer)).map(([name, text]) => factOf(name, text)));
}

function factsOf({ truth }, answer) {
  const { width, height, defect_pixels, novelty, model } = answer;
  return {
    "Defective area": `${pixels(defect_pixels)} (${share(defect_pixels, answer)})`,
    "Image size": `${width} × ${height} px`,
    ...(truth && { "True type": truth.type ?? "none" }),
    ...(novelty != null && {
      Novelty: `${novelty.toPrecision(3)} (unfamiliar above ${model.novelty_limit})`,
    }),
    Model: modelWords(model),
  };
}

function factOf(name, text) {
  const row = document.createElement("div");
  row.append(element("dt", name), element("dd", text));
  return row;
}

// One button for each defect: a click jumps to it, hover and focus highlight it.
export function writeDefects(defects, { onJump, onHighlight }) {
  $("no-defects").hidden = defects.length > 0;
  $("defects-title").textContent = defects.length > 1 ? `${defects.length} defects` : "Defects";
  $("defects").replaceChildren(
    ...defects.map((defect) => {
      const button = element("button", "");
      button.type = "button";
      button.append(
        element("span", defect.type),
        element("span", score(defect.score)),
        element("span", pixels(defect.area)),
      );
      button.ariaLabel = `${defect.type}, score ${score(defect.score)}, ${pixels(defect.area)}: show it`;
      button.addEventListener("click", () => onJump(defect));
      for (const type of ["pointerenter", "focus"]) button.addEventListener(type, () => onHighlight(defect));
      for (const type of ["pointerleave", "blur"]) button.addEventListener(type, () => onHighlight(null));
      const line = document.createElement("li");
      line.append(button);
      return line;
    }),
  );
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
