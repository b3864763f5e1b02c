// A file's picture: its pixels as they are stored, so without its EXIF orientation, and with more contrast on request.

import { picture as ask } from "./service.js";
import { unturned } from "./upright.js";

export class Picture {
  // source: a canvas of the picture's size
  constructor(source) {
    this.source = source;
    this.shown = source;
    this.contrast = 1;
  }

  // Stretch the grey levels around their mean, which moves to the middle.
  setContrast(contrast) {
    if (contrast === this.contrast) return;
    this.contrast = contrast;
    const { width, height } = this.source;
    const image = this.source.getContext("2d").getImageData(0, 0, width, height);
    const table = stretch(this.#mean(image.data), contrast);
    for (let i = 0; i < image.data.length; i++) if (i % 4 < 3) image.data[i] = table[image.data[i]];
    this.shown = new OffscreenCanvas(width, height);
    this.shown.getContext("2d").putImageData(image, 0, 0);
  }

  #mean(data) {
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i];
    return (4 * sum) / data.length;
  }
}

function stretch(mean, contrast) {
  const middle = mean + (127.5 - mean) * (1 - 1 / contrast);
  return Uint8ClampedArray.from({ length: 256 }, (_, grey) => middle + contrast * (grey - mean));
}

// Read a file's picture; answer: what the service says of it, where it has answered.
export async function readPicture(file, answer) {
  const turned = answer?.warnings?.some(({ code }) => code === "exif-orientation");
  return pictureOf(await createImageBitmap(turned ? await unturned(file) : file), answer ?? undefined);
}

// The same for a format such as TIFF, too, which the service reads and the browser does not.
export async function readAnyPicture(file, answer) {
  try {
    return await readPicture(file, answer);
  } catch (error) {
    if (!answer) throw error;
    const highest = { threshold: 1, alarm_score: 1 }; // the overlay of fewest marks
    return pictureOf(await createImageBitmap((await ask(file, "overlay", highest)).blob), answer);
  }
}

function pictureOf(bitmap, { width, height } = bitmap) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return new Picture(canvas);
}

// The grey levels of an 8-bit PNG, to the bit.
export async function readGrey(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
}
