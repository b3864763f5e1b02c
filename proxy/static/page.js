// The page of POST /analyze: sends the chosen images, draws each mask over its image, shows figures and problems.

const AT_ONCE = 4; // uploads in flight from one page; the others wait here, not in the server's queue
const MARK = [255, 59, 48, 150]; // red, half transparent: the images are grey

const page = Object.fromEntries(
  ["upload", "drop", "files", "bar", "status", "marks", "clear", "results", "card"].map((id) => [id, document.getElementById(id)]),
);
const waiting = [];
const count = { running: 0, done: 0, defective: 0, sound: 0, failed: 0 };
let links = []; // object URLs to release when the page is cleared

function enqueue(files) {
  for (const file of files) {
    const card = page.card.content.firstElementChild.cloneNode(true);
    card.querySelector("h2").textContent = file.name;
    page.results.prepend(card);
    waiting.push({ file, card });
  }
  page.bar.hidden = page.results.childElementCount === 0;
  report();
  while (waiting.length && count.running < AT_ONCE) run();
}

async function run() {
  count.running += 1;
  while (waiting.length) {
    const { file, card } = waiting.shift();
    const outcome = await analyse(file)
      .then((answer) => draw(card, file, answer))
      .catch((problem) => fail(card, problem));
    if (card.isConnected) {
      // the page was not cleared meanwhile
      count.done += 1;
      count[outcome] += 1;
    }
    report();
  }
  count.running -= 1;
  report();
}

async function analyse(file) {
  const form = new FormData();
  form.append("image", file);
  let response;
  try {
    response = await fetch("/analyze", { method: "POST", body: form, headers: { Accept: "application/json" } });
  } catch {
    throw { title: "No answer", detail: "The service cannot be reached: check that it runs, and try again" };
  }
  const document = await response.json().catch(() => ({ title: `Status ${response.status}`, detail: "" }));
  if (!response.ok) throw document;
  return document;
}

async function draw(card, file, answer) {
  const { width, height, pred } = answer;
  const image = card.querySelector(".image");
  const mask = card.querySelector(".mask");
  for (const canvas of [image, mask]) Object.assign(canvas, { width, height });
  // the mask belongs to the stored pixels, so the image is drawn without its EXIF orientation
  const picture = await createImageBitmap(file, { imageOrientation: "none" });
  image.getContext("2d").drawImage(picture, 0, 0, width, height);
  picture.close();
  mask.getContext("2d").putImageData(paint(pred, width, height, MARK, [0, 0, 0, 0]), 0, 0);
  tell(card, answer);
  await offerMask(card, file, answer);
  return answer.defective ? "defective" : "sound";
}

function paint(pred, width, height, defective, sound) {
  const image = new ImageData(width, height);
  let at = 0;
  for (const row of pred) {
    for (const pixel of row) {
      image.data.set(pixel ? defective : sound, at);
      at += 4;
    }
  }
  return image;
}

function tell(card, answer) {
  const { width, height, defective, defect_pixels, score, alarm_score, threshold, type, model } = answer;
  const share = ((100 * defect_pixels) / (width * height)).toFixed(2);
  const facts = {
    type: type ?? "none",
    score: `${score.toFixed(3)} (defective at ${alarm_score.toFixed(3)} or more)`,
    area: `${defect_pixels.toLocaleString("en")} px (${share} %)`,
    size: `${width} × ${height} px`,
    threshold: (threshold / 255).toFixed(3),
    model: [`${model.name} ${model.version}`, model.commit?.slice(0, 12), model.dirty && "with changes"].filter(Boolean).join(", "),
  };
  for (const [name, text] of Object.entries(facts)) card.querySelector(`[data-fact=${name}]`).textContent = text;
  card.classList.add(defective ? "defective" : "sound");
  const verdict = defective ? `Defect: ${type}` : "No defect";
  card.querySelector(".verdict").textContent = verdict;
  card.querySelector(".image").ariaLabel = `The image. ${verdict}, ${facts.area} marked.`;
  card.querySelector("dl").hidden = false;
}

async function offerMask(card, file, { width, height, pred }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(paint(pred, width, height, [255, 255, 255, 255], [0, 0, 0, 255]), 0, 0);
  const link = card.querySelector(".download");
  link.href = URL.createObjectURL(await canvas.convertToBlob({ type: "image/png" }));
  link.download = `${file.name.replace(/\.[^.]*$/, "")}_mask.png`;
  link.ariaLabel = `Download the mask of ${file.name}`;
  link.hidden = false;
  links.push(link.href);
}

function fail(card, { title = "The image cannot be shown", detail, message, request_id }) {
  card.classList.add("failed");
  card.querySelector(".verdict").textContent = title;
  const note = card.querySelector(".detail");
  note.textContent = [detail ?? message, request_id && `Request ${request_id}`].filter(Boolean).join(". ");
  note.hidden = false;
  return "failed";
}

function report() {
  const left = waiting.length + count.running;
  const done = `${count.done} analysed, ${count.defective} with a defect`;
  const failed = count.failed ? `, ${count.failed} failed` : "";
  page.status.textContent = left ? `Analysing… ${count.done} of ${page.results.childElementCount}` : done + failed;
}

function clear() {
  waiting.length = 0;
  for (const link of links) URL.revokeObjectURL(link);
  links = [];
  Object.assign(count, { done: 0, defective: 0, sound: 0, failed: 0 });
  page.results.replaceChildren();
  page.bar.hidden = true;
}

page.files.addEventListener("change", () => {
  enqueue(page.files.files);
  page.upload.reset(); // so that the same file can be chosen again
});
page.marks.addEventListener("change", () => page.results.classList.toggle("unmarked", !page.marks.checked));
page.clear.addEventListener("click", clear);
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  page.drop.addEventListener(type, (event) => {
    event.preventDefault();
    page.drop.classList.toggle("over", type === "dragenter" || type === "dragover");
    if (type === "drop") enqueue(event.dataTransfer.files);
  });
}
