// The documented API, and nothing else: every request of the page to it.

const READY_MS = 5000; // for the answer whether the service is ready
const ANSWER_MS = 120_000; // for an image's answer: four times the service's own limit, DEADLINE_S, which may be raised

// A refusal or a failure: the service's problem document, or our words where there is none.
export class Problem extends Error {
  constructor(status, { title, detail, message, request_id } = {}, retryAfter = null) {
    super(title ?? `Status ${status}`);
    Object.assign(this, { status, title: this.message, retryAfter, requestId: request_id });
    this.detail = detail ?? message ?? "";
  }

  // Whether the same request may be answered later.
  get passes() {
    return [0, 408, 429, 502, 503, 504].includes(this.status);
  }
}

// signal: ends the request
export async function analyse(file, query = {}, signal = null) {
  const response = await ask(file, "application/json", query, signal);
  return response.json().catch(tellCutOff);
}

// The answer as a PNG: { blob, model }, where model is the SHA-256 of the model's graph.
export async function picture(file, view, query = {}) {
  const response = await ask(file, "image/png", { view, ...query });
  return { blob: await response.blob().catch(tellCutOff), model: response.headers.get("Tile-Model-Sha256") };
}

async function ask(file, accept, query, signal = null) {
  const body = new FormData();
  body.append("image", file, file.name);
  const address = `analyze?${new URLSearchParams(query)}`;
  const signals = [signal, AbortSignal.timeout(ANSWER_MS)].filter(Boolean);
  const ends = AbortSignal.any?.(signals) ?? signals.at(-1); // browsers of 2023 lack `any`: then only the time ends it
  const request = { method: "POST", body, headers: { Accept: accept }, signal: ends };
  const response = await fetch(address, request).catch(() => {
    throw new Problem(0, {
      title: "No answer",
      detail:
        "The service could not be reached or did not answer within two minutes, or the file could not be read. Try again, " +
        "or choose the file again.",
    });
  });
  if (response.ok) return response;
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  throw new Problem(response.status, await response.json().catch(() => ({})), retryAfter);
}

function tellCutOff() {
  throw new Problem(0, {
    title: "No answer",
    detail: "The answer was cut off, or is not from this service. Try again.",
  });
}

// { reachable, model, reason }: whether requests can be answered, by which model, or why not.
export async function health() {
  try {
    const response = await fetch("health/ready", { cache: "no-store", signal: AbortSignal.timeout(READY_MS) });
    const document = await response.json().catch(() => ({}));
    if (response.ok) return { reachable: true, model: document.model ?? null };
    // Where a front proxy hides this route, what it answers says nothing of the service.
    return { reachable: response.status < 500, model: null, reason: document.detail };
  } catch {
    return { reachable: false, model: null };
  }
}
