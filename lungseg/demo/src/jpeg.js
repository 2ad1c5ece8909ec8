// JPEG of 8 bits by the browser's own decoder, given the segments that decide pixels and no other: without Exif nothing is
// turned, without a colour profile no grey value changes, as in Python.

import { checkSize } from "./png.js";

export async function readJpeg(bytes) {
  const { height, width, kept } = frame(bytes);
  checkSize(height, width);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob(kept, { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  } catch {
    throw damaged("its pixels cannot be decompressed");
  }
  if (bitmap.height !== height || bitmap.width !== width) {
    throw damaged(`decodes to ${bitmap.width} x ${bitmap.height}, its header says ${width} x ${height}`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  refuseNoise(context);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const data = context.getImageData(0, 0, width, height).data;
  return { height, width, channels: 4, depth: 8, data, turned: orientation(bytes) };
}

/** How a viewer turns the picture, of Exif's first directory: 1 to 8; 1, as stored, where none is said. */
function orientation(bytes) {
  const exif = [0x45, 0x78, 0x69, 0x66, 0, 0];
  const start = bytes.subarray(0, 1 << 16);
  const at = start.findIndex((_, k) => exif.every((byte, j) => start[k + j] === byte)) + exif.length;
  if (at < exif.length) return 1;
  const view = new DataView(start.buffer, start.byteOffset + at, start.length - at);
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let k = 0; k < view.getUint16(directory, little); k++) {
      const entry = directory + 2 + 12 * k;
      const value = view.getUint16(entry + 8, little);
      if (view.getUint16(entry, little) === 274) return value;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the directory leads beyond the file's start
  }
  return 1;
}

/** Size by the frame header, and the file without its APPn segments, of which APP0 and Adobe's APP14 decide colours. */
function frame(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, 2)];
  let [at, size] = [2, null];
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1; // a fill byte
      continue;
    }
    if (marker === 0xda) break; // the scan begins
    if ((marker >= 0xd0 && marker <= 0xd8) || marker === 1) {
      at += 2; // without a length
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    if (end < at + 4 || end > bytes.length) break;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker) && end >= at + 9) {
      if (bytes[at + 4] !== 8 || marker > 0xc2) {
        throw new Error(`JPEG of ${bytes[at + 4]} bits, process ${marker - 0xc0}; save it as 8-bit JPEG or PNG`);
      }
      size = { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    }
    if (!(marker > 0xe0 && marker <= 0xef && marker !== 0xee)) kept.push(bytes.subarray(at, end));
    at = end;
  }
  if (!size) throw damaged("it has no frame header");
  return { ...size, kept: [...kept, bytes.subarray(at)] };
}

/** Some browsers change what a page reads from a canvas, so that it cannot tell their user: a mask of that is wrong. */
function refuseNoise(context) {
  const known = context.createImageData(16, 16);
  known.data.forEach((_, k) => (known.data[k] = k % 4 === 3 ? 255 : (k * 7) % 256));
  context.putImageData(known, 0, 0);
  const read = context.getImageData(0, 0, 16, 16).data;
  if (!read.every((value, k) => value === known.data[k])) {
    throw new Error("this browser adds noise to pixels (protection from fingerprinting); save the JPEG as PNG");
  }
}

function damaged(what) {
  return new Error(`damaged JPEG (${what}); copy it again from its source`);
}
