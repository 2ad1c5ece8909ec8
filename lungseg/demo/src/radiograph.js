// A radiograph from a file, told by its first bytes, by the rules of lungseg/radiograph.py and its neighbours. What a file
// claims is checked before it is decoded. A problem is an Error whose message is a sentence for the person who chose it.

import { readDicom } from "./dicom.js";
import { readJpeg } from "./jpeg.js";
import { image } from "./opencv.js";
import { readPng } from "./png.js";

const MOST_BYTES = 512 * 2 ** 20;

/** {picture, spacing: [row, column] in mm or null, spacingFrom, remarks, rightAt} of a File; rightAt is the picture's side
 * at which the patient's right is, null where neither. */
export async function readRadiograph(file) {
  if (!file.size) throw new Error("empty file");
  if (file.size > MOST_BYTES) {
    throw new Error(`${file.size.toLocaleString("en")} bytes; ${MOST_BYTES.toLocaleString("en")} at most are read`);
  }
  const start = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  const read = readerOf(start, file.name);
  const found = await read(new Uint8Array(await file.arrayBuffer()));
  return { spacing: null, spacingFrom: "", remarks: [], rightAt: "left", ...found };
}

function readerOf(start, name) {
  const begins = (...bytes) => bytes.every((byte, k) => start[k] === byte);
  const isDicom = String.fromCharCode(...start.slice(128, 132)) === "DICM";
  if (isDicom) return readDicom;
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return async (bytes) => whole(await readPng(bytes));
  if (begins(0xff, 0xd8, 0xff)) return async (bytes) => asStored(await readJpeg(bytes));
  if (begins(0x49, 0x49, 0x2a, 0) || begins(0x4d, 0x4d, 0, 0x2a)) {
    throw new Error("TIFF, which this page does not read; `lungseg predict` does, or save it as PNG");
  }
  if (/\.(dcm|dicom)$/i.test(name)) throw new Error("is no DICOM file (no DICM prefix); export it again");
  throw new Error("is no PNG, JPEG or DICOM file; convert it");
}

/** A JPEG's pixels are used as they are stored, and what a viewer makes of them is said. */
function asStored(decoded) {
  const { turned } = decoded;
  if (turned === 0 || turned === 1) return whole(decoded);
  const remarks = [`stored turned or mirrored (orientation ${turned}), used as stored`];
  return { ...whole(decoded), remarks, rightAt: turned === 2 ? "right" : null };
}

/** Decoded pixels as grey in [0, 1] by their true depth, as `lungseg.images.scaled`. */
function whole({ height, width, channels, depth, data }) {
  const colours = channels >= 3 ? 3 : 1;
  const values = data.length === height * width ? data : new data.constructor(height * width);
  if (values !== data) {
    for (let k = 0; k < values.length; k++) {
      values[k] = data[k * channels];
      for (let c = 1; c < colours; c++) {
        if (data[k * channels + c] !== values[k]) {
          throw new Error("colour image whose channels differ; a radiograph is grey");
        }
      }
    }
  }
  let full = { 1: 1, 8: 255, 16: 65535 }[depth];
  if (depth === 16 && values.every((value) => value <= 4095)) full = 4095;
  const grey = new Float32Array(values.length); // a loop: `from` takes seconds for 20 million values
  for (let k = 0; k < grey.length; k++) grey[k] = values[k] / full;
  return { picture: image(height, width, grey) };
}
