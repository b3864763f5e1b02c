// A mask and what is drawn of it. A mask is a Uint8Array of height · width values 0 or 1, row by row.

// Decode COCO's uncompressed run lengths, which go down the columns and begin with zeros.
export function maskOfRle({ size: [height, width], counts }) {
  const mask = new Uint8Array(height * width);
  let at = 0;
  counts.forEach((count, turn) => {
    if (turn % 2) for (let i = at; i < at + count; i++) mask[(i % height) * width + Math.floor(i / height)] = 1;
    at += count;
  });
  return mask;
}

// The lowest grey level g with g / 255 >= threshold.
export function levelOf(threshold) {
  let level = Math.max(0, Math.floor(threshold * 255) - 1);
  while (level / 255 < threshold) level += 1;
  return level;
}

// The rule of the service: an image whose score is below the alarm score has no defective pixel.
export function maskAt(probability, level, defective) {
  return defective ? probability.map((grey) => (grey >= level ? 1 : 0)) : new Uint8Array(probability.length);
}

export const areaOf = (mask) => mask.reduce((sum, pixel) => sum + pixel, 0);

// The edges between pixels inside and outside, joined to lines.
export function outlineOf(mask, width, height) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  const path = new Path2D();
  for (let y = 0; y <= height; y++) {
    runs(
      width,
      (x) => inside(x, y) !== inside(x, y - 1),
      (from, to) => (path.moveTo(from, y), path.lineTo(to, y)),
    );
  }
  for (let x = 0; x <= width; x++) {
    runs(
      height,
      (y) => inside(x, y) !== inside(x - 1, y),
      (from, to) => (path.moveTo(x, from), path.lineTo(x, to)),
    );
  }
  return path;
}

function runs(length, holds, draw) {
  let from = -1;
  for (let i = 0; i <= length; i++) {
    const here = i < length && holds(i);
    if (here && from < 0) from = i;
    if (!here && from >= 0) {
      draw(from, i);
      from = -1;
    }
  }
}

// A picture of the mask: a colour inside, nothing outside.
export function fillOf(mask, width, height, [red, green, blue]) {
  const image = new ImageData(width, height);
  mask.forEach((pixel, i) => pixel && image.data.set([red, green, blue, 255], 4 * i));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
