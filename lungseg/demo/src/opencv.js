// The few functions of OpenCV that lungseg's preprocessing rests on, with the same arithmetic in float32, so that a page
// and `lungseg predict` see the same pixels (tests/test_demo_pixels.py compares them). Images are {width, height, data}.

export function image(height, width, data = new Float32Array(height * width)) {
  return { height, width, data };
}

/** As `lungseg.images.resize_image`: by pixel area where neither side grows, else bilinear; cut off at 0 and 1. */
export function resize(source, height, width) {
  if (source.height === height && source.width === width) return source;
  const shrinks = height <= source.height && width <= source.width;
  const resized = shrinks ? byArea(source, height, width) : image(height, width);
  if (!shrinks) for (const [y, row] of bilinearRows(source, height, width)) resized.data.set(row, y * width);
  const { data } = resized;
  for (let k = 0; k < data.length; k++) data[k] = Math.min(Math.max(data[k], 0), 1);
  return resized;
}

/** INTER_AREA (modules/imgproc/src/resize.cpp): weighted sums along rows, then along columns. */
function byArea(source, height, width) {
  const [scaleY, scaleX] = [1 / (height / source.height), 1 / (width / source.width)];
  if (isWhole(scaleY) && isWhole(scaleX)) return byBlocks(source, Math.round(scaleY), Math.round(scaleX));
  const [columns, rows] = [areaTable(source.width, width, scaleX), areaTable(source.height, height, scaleY)];
  const result = image(height, width);
  const [buffer, sum] = [new Float32Array(width), new Float32Array(width)];
  let before = rows.to[0];
  for (let j = 0; j < rows.to.length; j++) {
    const start = rows.from[j] * source.width;
    buffer.fill(0);
    for (let k = 0; k < columns.to.length; k++) {
      buffer[columns.to[k]] += Math.fround(source.data[start + columns.from[k]] * columns.share[k]);
    }
    if (rows.to[j] !== before) {
      result.data.set(sum, before * width);
      sum.fill(0);
      before = rows.to[j];
    }
    for (let x = 0; x < width; x++) sum[x] += Math.fround(rows.share[j] * buffer[x]);
  }
  result.data.set(sum, before * width);
  return result;
}

function isWhole(scale) {
  return Math.abs(scale - Math.round(scale)) < Number.EPSILON;
}

/** Where a side shrinks by whole numbers, plain means of blocks, four summands at a time as OpenCV adds them. */
function byBlocks(source, high, wide) {
  const result = image(source.height / high, source.width / wide);
  const share = Math.fround(1 / (high * wide));
  const offsets = [];
  for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) offsets.push(y * source.width + x);
  const fours = offsets.length - (offsets.length % 4);
  const { fround } = Math;
  for (let y = 0, at = 0; y < result.height; y++) {
    for (let x = 0; x < result.width; x++, at++) {
      const start = y * high * source.width + x * wide;
      let sum = 0;
      for (let k = 0; k < fours; k += 4) {
        let four = fround(source.data[start + offsets[k]] + source.data[start + offsets[k + 1]]);
        four = fround(four + source.data[start + offsets[k + 2]]);
        sum = fround(sum + fround(four + source.data[start + offsets[k + 3]]));
      }
      for (let k = fours; k < offsets.length; k++) sum = fround(sum + source.data[start + offsets[k]]);
      result.data[at] = sum * share;
    }
  }
  return result;
}

/** Which source pixels make which new one, and by what share. */
function areaTable(from, to, scale) {
  const table = { from: [], to: [], share: [] };
  const add = (target, place, share) => {
    table.from.push(place);
    table.to.push(target);
    table.share.push(Math.fround(share));
  };
  for (let k = 0; k < to; k++) {
    const [start, end] = [k * scale, k * scale + scale];
    const cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) add(k, first - 1, (first - start) / cell);
    for (let place = first; place < last; place++) add(k, place, 1 / cell);
    if (end - last > 1e-3) add(k, last, Math.min(end - last, 1, cell) / cell);
  }
  return table;
}

/** Rows of an image resized by INTER_LINEAR, each with its number: one at a time, since 20 million floats are 80 MB. */
export function* bilinearRows(source, height, width) {
  const { fround } = Math;
  const columns = linearTable(source.width, width);
  const across = (y) => {
    const row = new Float32Array(width);
    for (let x = 0, start = y * source.width; x < width; x++) {
      const { from, next, share } = columns;
      const left = fround(source.data[start + from[x]] * fround(1 - share[x]));
      row[x] = left + fround(source.data[start + next[x]] * share[x]);
    }
    return row;
  };
  const rows = linearTable(source.height, height);
  const kept = new Map();
  for (let y = 0; y < height; y++) {
    const [above, below, share] = [rows.from[y], rows.next[y], rows.share[y]];
    for (const place of kept.keys()) if (place < above) kept.delete(place);
    for (const place of [above, below]) if (!kept.has(place)) kept.set(place, across(place));
    const [upper, lower, rest] = [kept.get(above), kept.get(below), fround(1 - share)];
    const row = new Float32Array(width);
    for (let x = 0; x < width; x++) row[x] = fround(upper[x] * rest) + fround(lower[x] * share);
    yield [y, row];
  }
}

/** Of each new pixel the two old ones between which its centre lies, and the second one's share. */
function linearTable(from, to) {
  const table = { from: new Int32Array(to), next: new Int32Array(to), share: new Float32Array(to) };
  const scale = 1 / (to / from);
  for (let k = 0; k < to; k++) {
    const place = (k + 0.5) * scale - 0.5;
    const first = Math.floor(place);
    table.from[k] = Math.min(Math.max(first, 0), from - 1);
    table.next[k] = Math.min(table.from[k] + 1, from - 1);
    table.share[k] = first < 0 || first >= from - 1 ? 0 : place - first;
  }
  return table;
}

/** The 8-connected pieces of a mask (bytes, 0 or 1): labels from 1, and area and centre column of each. */
export function pieces(mask, height, width) {
  const labels = new Int32Array(height * width);
  const [areas, centres] = [[], []];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || labels[start]) continue;
    const label = areas.length + 1;
    const open = [start];
    labels[start] = label;
    let [area, columns] = [0, 0];
    while (open.length) {
      const at = open.pop();
      const [y, x] = [Math.floor(at / width), at % width];
      area += 1;
      columns += x;
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
          const next = row * width + column;
          if (mask[next] && !labels[next]) {
            labels[next] = label;
            open.push(next);
          }
        }
      }
    }
    areas.push(area);
    centres.push(columns / area);
  }
  return { labels, areas, centres };
}

/** The pixels of 4-connected pieces of the background that do not reach the border, as bytes 0 or 1. */
export function holes(mask, height, width) {
  const found = mask.map((value) => (value ? 0 : 1));
  const open = [];
  const leave = (at) => {
    if (!found[at]) return;
    found[at] = 0;
    open.push(at);
  };
  for (let x = 0; x < width; x++) [x, (height - 1) * width + x].forEach(leave);
  for (let y = 0; y < height; y++) [y * width, y * width + width - 1].forEach(leave);
  while (open.length) {
    const at = open.pop();
    if (at >= width) leave(at - width);
    if (at + width < mask.length) leave(at + width);
    if (at % width) leave(at - 1);
    if ((at + 1) % width) leave(at + 1);
  }
  return found;
}

/** Euclidean distance of each pixel to a mask (bytes) that is not empty: along columns, then the best of each row. */
export function distanceTo(mask, height, width) {
  const column = new Float64Array(height * width).fill(Infinity);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const at = y * width + x;
      column[at] = mask[at] ? 0 : y ? column[at - width] + 1 : Infinity;
    }
    for (let y = height - 2; y >= 0; y--) {
      const at = y * width + x;
      column[at] = Math.min(column[at], column[at + width] + 1);
    }
  }
  const distance = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let least = Infinity;
      for (let other = 0; other < width; other++) {
        least = Math.min(least, (x - other) ** 2 + column[y * width + other] ** 2);
      }
      distance[y * width + x] = Math.sqrt(least);
    }
  }
  return distance;
}
