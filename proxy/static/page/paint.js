// Draws a picture and its marks: in the large view, and in an overlay that is saved.

export const RED = [255, 59, 48];
const CSS_RED = `rgb(${RED})`;
const TRUTH = "rgb(0 200 255)";
const DARK = "rgb(0 0 0 / 0.6)";
const MOST_LABELS = 12; // more would hide the picture
const PIXELATED = 4; // from this scale on the pixels themselves are of interest

// layers: { picture, outline, fill, truth, defects, highlighted }; style: { marks, opacity, wipe }, wipe 0–1.
export function paint(context, at, layers, style) {
  const { width, height } = context.canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  place(context, at);
  context.imageSmoothingEnabled = at.scale < PIXELATED * at.ratio;
  context.drawImage(layers.picture, 0, 0);
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  context.rect(style.wipe * width, 0, width, height);
  context.clip();
  paintMarks(context, at, layers, style);
  context.restore();
  if (style.wipe > 0) paintLine(context, style.wipe * width, height, at.ratio);
}

function place(context, { scale, x, y }) {
  context.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
}

function paintMarks(context, at, layers, { marks, opacity }) {
  place(context, at);
  if (layers.truth) stroke(context, at, layers.truth, TRUTH);
  context.globalAlpha = opacity;
  if (marks === "fill") {
    context.imageSmoothingEnabled = false;
    context.drawImage(layers.fill, 0, 0);
  }
  if (marks === "outline") stroke(context, at, layers.outline, CSS_RED);
  context.globalAlpha = 1;
  if (marks !== "none") paintLabels(context, at, layers);
}

// A line as thick on the screen at every scale, on a darker one, so that it shows on light and dark ground.
function stroke(context, { scale, ratio }, path, colour) {
  context.lineCap = "square";
  for (const [thickness, style] of [
    [3.5, DARK],
    [1.75, colour],
  ]) {
    context.lineWidth = (thickness * ratio) / scale;
    context.strokeStyle = style;
    context.stroke(path);
  }
}

function paintLabels(context, at, { defects, highlighted }) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  if (defects.length <= MOST_LABELS)
    for (const defect of defects) if (defect !== highlighted) paintLabel(context, at, defect, CSS_RED, "#fff");
  if (!highlighted) return;
  const { left, top, width, height } = frameOf(highlighted.box, at);
  context.lineWidth = 2 * at.ratio;
  context.strokeStyle = "#ffd60a";
  context.strokeRect(left, top, width, height);
  paintLabel(context, at, highlighted, "#ffd60a", "#000");
}

function frameOf({ x, y, width, height }, { scale, x: x0, y: y0, ratio }) {
  const room = 5 * ratio;
  return {
    left: (x - x0) * scale - room,
    top: (y - y0) * scale - room,
    width: width * scale + 2 * room,
    height: height * scale + 2 * room,
  };
}

function paintLabel(context, at, { type, score, box }, ground, ink) {
  const { left, top, height } = frameOf(box, at);
  const line = 17 * at.ratio;
  const text = `${type} ${score.toFixed(2)}`;
  context.font = `600 ${12 * at.ratio}px system-ui, sans-serif`;
  const across = context.measureText(text).width + 8 * at.ratio;
  const from = Math.max(0, Math.min(left, context.canvas.width - across));
  const above = top >= line ? top - line : Math.min(top + height, context.canvas.height - line);
  context.fillStyle = ground === CSS_RED ? "#b3261e" : ground; // white text on it has a contrast of 4.5 and more
  context.fillRect(from, above, across, line);
  context.fillStyle = ink;
  context.textBaseline = "middle";
  context.fillText(text, from + 4 * at.ratio, above + line / 2);
}

function paintLine(context, at, height, ratio) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#fff";
  context.fillRect(at - ratio, 0, 2 * ratio, height);
}
