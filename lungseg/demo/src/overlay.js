// A picture for a person, as lungseg/prediction.py draws it: the radiograph in grey, the lungs tinted, their outline drawn.

import { maskResized } from "./lungs.js";
import { resize } from "./opencv.js";

const SIDE = 1024;
const [TINT, OUTLINE, SHARE] = [[40, 170, 255], [255, 210, 0], 0.25];

export function preview(picture) {
  const scale = Math.min(1, SIDE / Math.max(picture.height, picture.width));
  const side = (length) => Math.max(1, Math.round(length * scale));
  return resize(picture, side(picture.height), side(picture.width));
}

/** ImageData of a preview, with the lungs of a mask of any size if there is one. */
export function drawn({ height, width, data }, lungs, size) {
  const [low, high] = data.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const found = new ImageData(width, height);
  const mask = lungs ? maskResized(lungs, size, [height, width]) : null;
  for (let k = 0; k < data.length; k++) {
    const grey = 255 * (high > low ? (data[k] - low) / (high - low) : data[k]);
    const outline = mask?.[k] && isBorder(mask, height, width, k);
    for (let c = 0; c < 3; c++) {
      const tinted = mask?.[k] ? (1 - SHARE) * grey + SHARE * TINT[c] : grey;
      found.data[4 * k + c] = outline ? OUTLINE[c] : Math.round(tinted);
    }
    found.data[4 * k + 3] = 255;
  }
  return found;
}

function isBorder(mask, height, width, k) {
  const [y, x] = [Math.floor(k / width), k % width];
  const inside = y > 0 && x > 0 && y < height - 1 && x < width - 1;
  return !inside || !(mask[k - 1] && mask[k + 1] && mask[k - width] && mask[k + width]);
}
