// An image with its marks, as a PNG for people: drawn here, so that the service is not asked again.

import { paint } from "./paint.js";
import { layersOf } from "./view.js";

const SMALL = 600; // pixels; a smaller image is drawn larger, so that its labels leave room

// layers: what is marked, if not what the item's own answer says
export async function overlayOf(item, layers = null) {
  const drawn = layers ?? (await layersOf(item));
  const { width, height, image } = drawn;
  const scale = Math.max(1, Math.ceil(SMALL / Math.max(width, height)));
  const canvas = new OffscreenCanvas(width * scale, height * scale);
  const at = { scale, x: 0, y: 0, ratio: 1 };
  paint(
    canvas.getContext("2d"),
    at,
    { ...drawn, picture: image.source, truth: null },
    { marks: "outline", opacity: 1, wipe: 0 },
  );
  return canvas.convertToBlob({ type: "image/png" });
}
