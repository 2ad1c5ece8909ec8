// PNG of 1, 8 or 16 bits by fast-png: a browser's own decoder would keep the high byte of 16 alone. As in lungseg/png.py
// only the chunks that decide pixels are handed on, so that nothing else in a file is unpacked.

import { decode } from "fast-png";

export const MAX_PIXELS = 64_000_000;
const DEFLATE = 1032; // bytes that one byte of a deflate stream can stand for, at most
const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };

export function checkSize(height, width) {
  if (!(height * width > 0 && height * width <= MAX_PIXELS)) {
    throw new Error(`${width} x ${height} pixels; between 1 and ${MAX_PIXELS.toLocaleString("en")} are accepted`);
  }
}

export async function readPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 29 || nameAt(bytes, 12) !== "IHDR") throw damaged("it has no header");
  const [width, height, depth, colour] = [view.getUint32(16), view.getUint32(20), bytes[24], bytes[25]];
  checkSize(height, width);
  if (colour === 3) throw new Error("palette PNG; save it as grey");
  if (![1, 8, 16].includes(depth) || !(colour in CHANNELS)) {
    throw new Error(`${depth}-bit PNG of colour type ${colour}; 1, 8 or 16 bit are accepted`);
  }
  const { kept, packed } = pixelChunks(bytes, view);
  const row = Math.ceil((width * CHANNELS[colour] * depth) / 8);
  if (height * row > DEFLATE * packed) {
    throw damaged(`${packed.toLocaleString("en")} compressed bytes cannot hold ${width} x ${height} pixels`);
  }
  let found;
  try {
    found = decode(kept, { checkCrc: true });
  } catch (error) {
    throw damaged(error.message);
  }
  const data = depth === 1 ? bits(found.data, height, width) : found.data;
  if (data.length !== height * width * CHANNELS[colour]) throw damaged("its pixels cannot be decompressed");
  return { height, width, channels: CHANNELS[colour], depth, data };
}

/** The signature with IHDR, IDAT and IEND and no other chunk, and how many bytes of pixels they hold. */
function pixelChunks(bytes, view) {
  const parts = [bytes.subarray(0, 8)];
  let [at, packed, kind] = [8, 0, ""];
  while (kind !== "IEND") {
    if (at + 12 > bytes.length) throw damaged("truncated: it has no end");
    const length = view.getUint32(at);
    kind = nameAt(bytes, at + 4);
    const end = at + 12 + length;
    if (end > bytes.length) throw damaged("truncated: a chunk ends beyond the file");
    if (["IHDR", "IDAT", "IEND"].includes(kind)) parts.push(bytes.subarray(at, end));
    if (kind === "IDAT") packed += length;
    at = end;
  }
  const kept = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    kept.set(part, place);
    place += part.length;
  }
  return { kept, packed };
}

/** One byte a pixel of rows whose bits are packed. */
function bits(data, height, width) {
  const row = Math.ceil(width / 8);
  if (data.length !== height * row) return data;
  const found = new Uint8Array(height * width);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) found[at] = (data[y * row + (x >> 3)] >> (7 - (x & 7))) & 1;
  }
  return found;
}

function nameAt(bytes, at) {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function damaged(what) {
  return new Error(`damaged PNG (${what}); copy it again from its source`);
}
