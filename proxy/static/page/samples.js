// The samples on the empty page, with the truth beside them: those whose defect type the served model knows.

const FOLDER = "page/samples";
const $ = (id) => document.getElementById(id);

// Fill the section; take(found) is called with the samples that are clicked.
export async function offerSamples(types, take) {
  const response = await fetch(`${FOLDER}/samples.json`);
  if (!response.ok) return;
  const { source, samples } = await response.json();
  const known = samples.filter(({ type }) => types.includes(type));
  if (!known.length) return; // another model's parts: these samples would say nothing
  const shown = samples.filter(({ type }) => type === null || types.includes(type));
  $("samples-list").replaceChildren(...shown.map((sample) => cardOf(sample, take)));
  $("samples-source").textContent = `Source: ${source}`;
  $("samples-all").onclick = async () => take(await Promise.all(shown.map(fetchSample)));
  $("samples").hidden = false;
}

function cardOf(sample, take) {
  const card = $("sample").content.firstElementChild.cloneNode(true);
  const words = sample.type ?? "No defect";
  card.querySelector(".photo").src = `${FOLDER}/${sample.name}.jpg`;
  card.querySelector(".truth").src = `${FOLDER}/${sample.name}.png`;
  card.querySelector(".name").textContent = words;
  card.querySelector("button").ariaLabel = `Analyse the sample: ${words}`;
  card.querySelector("button").addEventListener("click", async () => take([await fetchSample(sample)]));
  return card;
}

async function fetchSample({ name, type }) {
  const [photo, mask] = await Promise.all(
    ["jpg", "png"].map((kind) => fetch(`${FOLDER}/${name}.${kind}`).then((it) => it.blob())),
  );
  return { file: new File([photo], `${name}.jpg`, { type: "image/jpeg" }), folder: "samples", truth: { type, mask } };
}
