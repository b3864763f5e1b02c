// The samples on the empty page, with the truth beside them: those whose defect type the served model knows.

const FOLDER = "page/samples";
const $ = (id) => document.getElementById(id);

// Fill the section; take(found) is called with the samples that are clicked, tell(problem) if they cannot be fetched.
export async function offerSamples(types, take, tell) {
  const response = await fetch(`${FOLDER}/samples.json`);
  if (!response.ok) return;
  const { source, samples } = await response.json();
  const known = samples.filter(({ type }) => types.includes(type));
  if (!known.length) return; // another model's parts: these samples would say nothing
  const shown = samples.filter(({ type }) => type === null || types.includes(type));
  const choose = (samples) => Promise.all(samples.map(fetchSample)).then(take, tell);
  $("samples-list").replaceChildren(...shown.map((sample) => cardOf(sample, choose)));
  $("samples-source").textContent = `Source: ${source}`;
  $("samples-all").onclick = () => choose(shown);
  $("samples").hidden = false;
}

function cardOf(sample, choose) {
  const card = $("sample").content.firstElementChild.cloneNode(true);
  const words = sample.type ?? "No defect";
  card.querySelector(".photo").src = `${FOLDER}/${sample.name}.jpg`;
  card.querySelector(".truth").src = `${FOLDER}/${sample.name}.png`;
  card.querySelector(".name").textContent = words;
  card.querySelector("button").ariaLabel = `Analyse the sample: ${words}`;
  card.querySelector("button").addEventListener("click", () => choose([sample]));
  return card;
}

async function fetchSample({ name, type }) {
  const [photo, mask] = await Promise.all(
    ["jpg", "png"].map((kind) => fetchWhole(`${FOLDER}/${name}.${kind}`)),
  );
  const file = new File([photo], `${name}.jpg`, { type: "image/jpeg", lastModified: 0 }); // the same file at each click
  return { file, folder: "samples", truth: { type, mask } };
}

async function fetchWhole(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.blob();
}
