// The results as a CSV file: one line for each image, failures too.

import { verdictOf } from "./words.js";

const COLUMNS = {
  file: ({ name }) => name,
  folder: ({ folder }) => folder,
  tile: ({ tile }) => tile,
  verdict: verdictOf,
  type: ({ answer }) => answer?.type,
  score: ({ answer }) => answer?.score,
  defects: ({ answer }) => answer?.defects?.length,
  defect_pixels: ({ answer }) => answer?.defect_pixels,
  width: ({ answer }) => answer?.width,
  height: ({ answer }) => answer?.height,
  familiar: ({ answer }) => answer?.familiar,
  novelty: ({ answer }) => answer?.novelty,
  warnings: ({ answer }) => answer?.warnings?.map(({ code }) => code).join(" "),
  threshold: ({ answer }) => answer?.threshold,
  alarm_score: ({ answer }) => answer?.alarm_score,
  review_score: ({ answer }) => answer?.model.review_score,
  model: ({ answer }) => answer && `${answer.model.name} ${answer.model.version}`,
  model_sha256: ({ answer }) => answer?.model.sha256,
  tile_verdict: ({ judged }) => judged?.verdict,
  tile_score: ({ judged }) => judged?.score,
  tile_alarm_score: ({ judged }) => judged?.alarm,
  tile_review_score: ({ judged }) => judged?.review,
  problem: ({ problem }) => problem && `${problem.title}: ${problem.detail}`,
};

// rows are items; in a grouped table they also have tile and judged.
export function csvOf(rows) {
  const lines = rows.map((row) => Object.values(COLUMNS).map((read) => cell(read(row))));
  return [Object.keys(COLUMNS), ...lines].map((line) => `${line.join(",")}\r\n`).join("");
}

function cell(value) {
  if (typeof value !== "string") return value ?? "";
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // a spreadsheet would run it as a formula
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
