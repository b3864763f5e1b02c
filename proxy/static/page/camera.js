// The camera: live in a dialogue where the browser allows it (https or this machine), else the phone's own camera.

import { clock } from "./words.js";

const $ = (id) => document.getElementById(id);
let stream = null;

// take(found) is called with each photograph; photograph is the input that opens a phone's own camera.
export function listenToCamera(photograph, take) {
  const dialog = $("camera-dialog");
  $("camera").addEventListener("click", () => (navigator.mediaDevices ? open(dialog) : photograph.click()));
  $("camera-take").addEventListener("click", async () =>
    take([{ file: await photographOf($("camera-video")), folder: "" }]),
  );
  $("camera-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", close);
}

async function open(dialog) {
  $("camera-note").textContent = "Starting…";
  $("camera-take").disabled = true;
  dialog.showModal();
  try {
    const found = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1920 } },
    });
    if (!dialog.open || stream) return stop(found); // closed meanwhile, and perhaps opened once more
    stream = found;
    $("camera-video").srcObject = stream;
    await $("camera-video").play();
    $("camera-take").disabled = false;
    $("camera-note").textContent = "Hold the part in front of the camera, as in the training images.";
  } catch (error) {
    $("camera-note").textContent =
      `The camera cannot be used (${error.name}). Allow it for this page, or choose a file.`;
  }
}

function close() {
  stop(stream);
  stream = null;
}

function stop(camera) {
  camera?.getTracks().forEach((track) => track.stop());
}

async function photographOf(video) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const time = clock();
  $("camera-note").textContent = `Taken at ${time}.`;
  return new File([await canvas.convertToBlob({ type: "image/png" })], `camera ${time}.png`, { type: "image/png" });
}
