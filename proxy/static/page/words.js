// How values are written, in one place.

export const VERDICTS = {
  defect: "Defect",
  review: "Review",
  ok: "OK",
  failed: "Failed",
  mixed: "Two models", // of a tile alone: analyse its images again
  running: "Analysing…",
  waiting: "Waiting",
};

// An item's verdict while it has none is its state.
export function verdictOf(item) {
  return item.state === "done" ? item.answer.verdict : item.state;
}

export const score = (value) => value.toFixed(3);
export const exact = (value) => value.toFixed(4); // as the service rounds it
export const pixels = (count) => `${count.toLocaleString("en")} px`;
export const share = (count, { width, height }) => `${((100 * count) / (width * height)).toFixed(2)} %`;
export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
export const listed = (names) => names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "");
export const compareNames = new Intl.Collator("en", { numeric: true }).compare;
export const clock = () => new Date().toTimeString().slice(0, 8).replaceAll(":", "."); // as part of a file's name
export const stem = (name) => name.replace(/\.[^.]*$/, "");

// How many of each verdict, such as "2 with a defect, 1 for review, 9 OK"; empty where there is none.
export function tally(verdicts) {
  const words = { defect: "with a defect", review: "for review", ok: "OK", mixed: "of two models" };
  return Object.entries(words)
    .map(([verdict, word]) => [verdicts.filter((each) => each === verdict).length, word])
    .filter(([count]) => count)
    .map(([count, word]) => `${count.toLocaleString("en")} ${word}`)
    .join(", ");
}

export function modelWords(model) {
  const commit = model.commit && `commit ${model.commit.slice(0, 12)}`;
  return [`${model.name} ${model.version}`, commit, model.dirty && "with changes"].filter(Boolean).join(", ");
}

// Four digits, rounded down: sent back to the service, such a threshold means the same grey level.
export const digits = (value) => Math.floor(value * 1e4 + 1e-9) / 1e4;
