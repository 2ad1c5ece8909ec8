// What a probability map says of the lungs, by the same rules as lungseg/lungs.py: its constants, flags and sides.

import { bilinearRows, distanceTo, holes, image, pieces, resize } from "./opencv.js";

const LEAST_PIECE = 0.01;
const LEAST_LUNG = 0.1;
const UNSTABLE = 0.95;
const WIDER = 0.1;
const NO_MORE = 1e-3;
const COLUMNS = [[0.42, 0.58], [0.2, 0.35], [0.65, 0.8]];
const BLEND = 8;
const ROUNDING = 1e-5;

/** Why a person should look: the flags of a probability map and its picture, both at the network's size. */
export function flags(probability, picture, threshold, usual) {
  const { height, width } = probability;
  const mask = thresholded(probability, threshold);
  const total = count(mask);
  const unusual = unusualOf(picture, total ? total / mask.length : null, usual);
  if (!total) return ["empty", ...unusual];
  const large = pieces(mask, height, width).areas.filter((area) => area >= LEAST_PIECE * total);
  const found = [];
  if (large.length !== 2) found.push("not two components");
  if (touchesBorder(mask, height, width)) found.push("touches border");
  if (stability(probability) < UNSTABLE) found.push("low confidence");
  return [...found, ...unusual];
}

/** The map whose mask has the two largest pieces alone, without holes, by the rules of lungseg/postprocessing.py. */
export function postprocessed(probability, threshold) {
  const { height, width, data } = probability;
  const mask = thresholded(probability, threshold);
  const kept = twoLargest(mask, height, width);
  const inside = holes(kept, height, width);
  return image(height, width, data.map((old, at) => (inside[at] ? 1 : mask[at] && !kept[at] ? 0 : old)));
}

/** The mask at the picture's own size, as bytes 0 or 1, post-processed on the map and once more as enlarged. */
export function lungsAt(probability, height, width, threshold) {
  const mask = twoLargest(maskAt(postprocessed(probability, threshold), height, width, threshold), height, width);
  const inside = holes(mask, height, width);
  for (let k = 0; k < mask.length; k++) mask[k] |= inside[k];
  return mask;
}

/** The largest piece of a mask and, if it is no speck beside it, the second. */
function twoLargest(mask, height, width) {
  const { labels, areas } = pieces(mask, height, width);
  const order = areas.map((_, k) => k).sort((a, b) => areas[b] - areas[a]);
  const lungs = order.slice(0, 2).filter((k) => areas[k] >= LEAST_LUNG * areas[order[0]]);
  return mask.map((_, at) => (labels[at] && lungs.includes(labels[at] - 1) ? 1 : 0));
}

/** Lung at another size, as bytes 0 or 1: the probability is enlarged, then cut at the threshold. */
function maskAt(probability, height, width, threshold) {
  const mask = new Uint8Array(height * width);
  if (probability.height < height || probability.width < width) {
    for (const [y, row] of bilinearRows(probability, height, width)) {
      for (let x = 0; x < width; x++) mask[y * width + x] = row[x] >= threshold ? 1 : 0;
    }
    return mask;
  }
  return Uint8Array.from(resize(probability, height, width).data, (value) => value >= threshold);
}

/** A mask of bytes at another size, as `lungseg.images.resize_mask`: lung where half of a new pixel's area was. */
export function maskResized(mask, [height, width], to) {
  return thresholded(resize(image(height, width, Float32Array.from(mask)), ...to), 0.5 - ROUNDING);
}

function thresholded({ data }, threshold) {
  return Uint8Array.from(data, (value) => value >= threshold);
}

function count(mask) {
  return mask.reduce((sum, value) => sum + value, 0);
}

function stability(probability) {
  const [low, high] = [0.25, 0.75].map((threshold) => count(thresholded(probability, threshold)));
  return low ? (2 * high) / (low + high) : 1;
}

function touchesBorder(mask, height, width) {
  for (let x = 0; x < width; x++) if (mask[x] || mask[(height - 1) * width + x]) return true;
  for (let y = 0; y < height; y++) if (mask[y * width] || mask[y * width + width - 1]) return true;
  return false;
}

function unusualOf(picture, share, usual) {
  const n = picture.data.length;
  const mean = picture.data.reduce((sum, value) => sum + value, 0) / n;
  const deviation = Math.sqrt(picture.data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
  const found = looksInverted(picture, mean) ? ["looks inverted"] : [];
  if (outside(mean, usual.mean) || outside(deviation, usual.standard_deviation)) found.push("unusual exposure");
  if (share !== null && outside(share, usual.lung_share)) found.push("unusual area");
  return found;
}

/** Whether bones are black: the edge is brighter than the whole, and the middle darker than the lungs beside it. */
function looksInverted({ height, width, data }, mean) {
  const part = (top, bottom, from, to) => {
    let [sum, n] = [0, 0];
    for (let y = top; y < bottom; y++) for (let x = from; x < to; x++, n++) sum += data[y * width + x];
    return [sum, n];
  };
  const sides = [part(0, 1, 0, width), part(height - 1, height, 0, width), part(0, height, 0, 1), part(0, height, width - 1, width)];
  const edge = sides.reduce((sum, [one]) => sum + one, 0) / (2 * (width + height));
  const quarter = Math.floor(height / 4);
  const [middle, right, left] = COLUMNS.map(([from, to]) => {
    const [sum, n] = part(quarter, height - quarter, rounded(from * width), rounded(to * width));
    return sum / n;
  });
  return edge - mean > NO_MORE && (right + left) / 2 - middle > NO_MORE;
}

/** As Python rounds: a half to the even number. */
function rounded(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

function outside(value, bounds) {
  if (!bounds) return false;
  const margin = WIDER * (bounds[1] - bounds[0]);
  return !(bounds[0] - margin <= value && value <= bounds[1] + margin);
}

/** Which lung of a mask at the network's size is nearer: at least 0.5 on the patient's right, at the picture's left. */
export function rightSide(mask, height, width) {
  const { labels, areas, centres } = pieces(mask, height, width);
  if (!areas.length) return image(height, width, new Float32Array(height * width).fill(0.5));
  const order = areas.map((_, k) => k).sort((a, b) => areas[b] - areas[a]);
  let right, left;
  if (areas.length > 1 && areas[order[1]] >= LEAST_LUNG * areas[order[0]]) {
    const [first, second] = order.slice(0, 2).sort((a, b) => centres[a] - centres[b]);
    [right, left] = [first, second].map((k) => Uint8Array.from(labels, (label) => label === k + 1));
  } else {
    const middle = narrowest(mask, height, width);
    right = mask.map((value, at) => (at % width < middle ? value : 0));
    left = mask.map((value, at) => (at % width < middle ? 0 : value));
    if (!count(right) || !count(left)) {
      return image(height, width, new Float32Array(height * width).fill(count(right) ? 1 : 0));
    }
  }
  const [toRight, toLeft] = [distanceTo(right, height, width), distanceTo(left, height, width)];
  const side = toLeft.map((distance, k) => 0.5 + 0.5 * Math.min(Math.max((distance - toRight[k]) / BLEND, -1), 1));
  return image(height, width, side);
}

/** The column at which one piece is cut: the emptiest of the middle third of the mask's width, the middle first. */
function narrowest(mask, height, width) {
  const filled = new Int32Array(width);
  mask.forEach((value, at) => (filled[at % width] += value));
  const used = [...filled.keys()].filter((x) => filled[x]);
  const [first, last] = [used[0], used[used.length - 1] + 1];
  const third = Math.floor((last - first) / 3);
  const middle = (first + last - 1) / 2;
  let best = first + third;
  for (let x = best; x < Math.max(last - third, first + third + 1); x++) {
    const closer = filled[x] === filled[best] && Math.abs(x - middle) < Math.abs(best - middle);
    if (filled[x] < filled[best] || closer) best = x;
  }
  return best;
}
