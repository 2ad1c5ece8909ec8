// Uncompressed DICOM of one grey frame by dicom-parser, in the order of lungseg/dicom.py: modality LUT or rescale, VOI LUT
// or window, inversion of MONOCHROME1; each step is done to a table of all values that the stored bits can hold.

import dicomParser from "dicom-parser";
import { image } from "./opencv.js";
import { checkSize } from "./png.js";

const UNCOMPRESSED = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"];
const RADIOGRAPHY = ["", "CR", "DX", "DR", "RF", "RG", "XA", "OT", "SC", "IO", "MG", "PX"];
const FRONTAL = ["", "AP", "PA"];
const PYTHON = "`lungseg predict` reads it, or export it uncompressed";

export function readDicom(bytes) {
  const syntax = whole(() => dicomParser.readPart10Header(bytes).string("x00020010")) ?? "";
  if (!UNCOMPRESSED.includes(syntax)) throw new Error(`DICOM of transfer syntax ${syntax.slice(0, 40)}; ${PYTHON}`);
  return whole(() => {
    const data = dicomParser.parseDicom(bytes);
    const header = headerOf(data);
    const values = stored(bytes, data, header);
    const inferred = depthOf(data, header, values);
    const { grey, low } = table(data, header, inferred);
    const pixels = new Float32Array(values.length);
    for (let k = 0; k < pixels.length; k++) pixels[k] = grey[Math.min(Math.max(values[k] - low, 0), grey.length - 1)];
    const modality = data.string("x00080060") ?? "";
    const view = (data.string("x00185101") ?? "").trim().slice(0, 16);
    const remarks = RADIOGRAPHY.includes(modality) ? [] : [`modality ${modality.slice(0, 16)}`];
    if (!FRONTAL.includes(view.toUpperCase())) remarks.push(`view ${view}`);
    const { rightAt, said } = orientationOf(data.string("x00200020") ?? "");
    if (inferred < header.bits) remarks.push(`read as ${inferred} bits (${header.bits} stored)`);
    remarks.push(...said);
    return { picture: image(header.rows, header.columns, pixels), ...spacingOf(data), rightAt, remarks };
  });
}

/** At which of the picture's sides the patient's right is, null where neither, and what there is to say of it. */
function orientationOf(text) {
  const stated = text.split("\\").map((value) => value.trim().toUpperCase());
  const [along, down] = [0, 1].map((k) => (stated[k] ?? "").slice(0, 1));
  if (!["", "L", "R"].includes(along) || !["", "F"].includes(down)) {
    const said = stated.slice(0, 2).map((value) => value.slice(0, 4)).join("\\");
    return { rightAt: null, said: [`orientation ${said}: sides not named`] };
  }
  const mirrored = { rightAt: "right", said: ["mirrored: the right lung is at the image's right"] };
  return along === "R" ? mirrored : { rightAt: "left", said: [] };
}

/** What a step gives; what the parser throws for a broken file becomes a sentence. */
function whole(step) {
  try {
    return step();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("DICOM")) throw error;
    const what = String(error?.message ?? error?.exception ?? error).slice(0, 120);
    throw new Error(`DICOM that is damaged (${what}); export it again`);
  }
}

function refuse(what) {
  throw new Error(`DICOM: ${what}`);
}

function headerOf(data) {
  if (!data.elements.x7fe00010) refuse("holds no pixel data (a report or a directory?); give the image itself");
  const [rows, columns] = [data.uint16("x00280010") ?? 0, data.uint16("x00280011") ?? 0];
  const allocated = data.uint16("x00280100") ?? refuse("holds no BitsAllocated; export it again");
  const bits = data.uint16("x00280101") ?? allocated;
  const frames = data.intString("x00280008") ?? 1;
  const samples = data.uint16("x00280002") ?? 1;
  const meaning = data.string("x00280004") ?? "missing";
  if (frames !== 1) refuse(`${frames} frames; a radiograph has one: export the frame alone`);
  if (samples !== 1) refuse(`colour (${samples} samples a pixel, ${meaning}); a radiograph is grey`);
  if (!/^MONOCHROME[12]$/.test(meaning)) refuse(`PhotometricInterpretation ${meaning}; a radiograph is grey`);
  try {
    checkSize(rows, columns);
  } catch (error) {
    refuse(error.message);
  }
  if (![8, 16].includes(allocated)) refuse(`${allocated} bits allocated; 8 or 16 are accepted`);
  if (!(bits >= 1 && bits <= allocated)) refuse(`${bits} bits stored of ${allocated}`);
  if ((data.uint16("x00280102") ?? bits - 1) !== bits - 1) refuse("HighBit is not BitsStored - 1");
  return { rows, columns, allocated, bits, signed: data.uint16("x00280103") === 1, inverted: meaning.endsWith("1") };
}

/** Stored values, of unsigned ones without what lies above the stored bits (old overlays). */
function stored(bytes, data, { rows, columns, allocated, bits, signed }) {
  const { dataOffset, length } = data.elements.x7fe00010;
  const n = rows * columns;
  if (length < (n * allocated) / 8) refuse("holds fewer pixels than its header says; export it again");
  const copy = bytes.slice(dataOffset, dataOffset + (n * allocated) / 8).buffer;
  const kinds = allocated === 8 ? [Uint8Array, Int8Array] : [Uint16Array, Int16Array];
  const values = new kinds[signed ? 1 : 0](copy);
  if (!signed && bits < allocated) for (let k = 0; k < n; k++) values[k] &= (1 << bits) - 1;
  return values;
}

/** Bits of an image's values: 12 where none of 16 stored bits is larger and no window says what is white, as of PNG. */
function depthOf(data, { bits, signed }, values) {
  if (bits !== 16 || signed || hasWindow(data)) return bits;
  return values.every((value) => value <= 4095) ? 12 : bits;
}

function hasWindow(data) {
  if (data.elements.x00283010?.items?.length) return true;
  return data.floatString("x00281050") !== undefined && data.floatString("x00281051") !== undefined;
}

/** Grey in [0, 1] of each value that the stored bits can hold, and the lowest such value. */
function table(data, { bits, signed, inverted }, used) {
  const low = signed ? -(2 ** (bits - 1)) : 0;
  const values = rescaled(data, signed, Float64Array.from({ length: 2 ** bits }, (_, k) => low + k));
  if (!values.every(Number.isFinite)) refuse("its rescale gives no finite values");
  const grey = ofInterest(data, signed, values) ?? fullScale(values, values.subarray(0, 2 ** used));
  if (!grey.every(Number.isFinite)) refuse("its VOI LUT or window gives no finite values");
  return { low, grey: Float32Array.from(grey, (value) => {
    const cut = Math.min(Math.max(value, 0), 1);
    return inverted ? 1 - cut : cut;
  }) };
}

function rescaled(data, signed, values) {
  const [item] = data.elements.x00283000?.items ?? [];
  if (item) return lookedUp(item.dataSet, signed, values).values;
  const [slope, intercept] = [data.floatString("x00281053"), data.floatString("x00281052")];
  if (slope === undefined || intercept === undefined) return values;
  return values.map((value) => value * slope + intercept);
}

/** Values through a LUT: below its first input the first entry, beyond its last the last. */
function lookedUp(set, signed, values) {
  const [entries, first, bits] = [set.uint16("x00283002", 0) || 65536, firstInput(set, signed), set.uint16("x00283002", 2)];
  const { length } = set.elements.x00283006;
  const wide = length >= 2 * entries;
  if (length < entries) refuse("a lookup table shorter than it says");
  const entry = (k) => (wide ? set.uint16("x00283006", k) : set.byteArray[set.elements.x00283006.dataOffset + k]);
  return { values: values.map((value) => entry(Math.min(Math.max(rounded(value) - first, 0), entries - 1))), bits };
}

/** As NumPy rounds: a half to the even number. */
function rounded(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

function firstInput(set, signed) {
  return signed ? set.int16("x00283002", 1) : set.uint16("x00283002", 1);
}

function fullScale(values, used) {
  const [bottom, top] = used.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  return values.map((value) => (top > bottom ? (value - bottom) / (top - bottom) : 0));
}

/** Grey by the VOI LUT or, without one, by the first window; null where there is neither. */
function ofInterest(data, signed, values) {
  const [item] = data.elements.x00283010?.items ?? [];
  if (item) {
    const found = lookedUp(item.dataSet, signed, values);
    return found.values.map((value) => value / (2 ** found.bits - 1));
  }
  const [centre, width] = [data.floatString("x00281050"), data.floatString("x00281051")];
  if (centre === undefined || width === undefined) return null;
  const kind = (data.string("x00281056") || "LINEAR").toUpperCase();
  if (!Number.isFinite(centre) || !(width > 0) || (kind === "LINEAR" && width < 1)) {
    refuse(`a window ${width} wide at ${centre}; export it with a window or without`);
  }
  const functions = {
    SIGMOID: (value) => 1 / (1 + Math.exp((-4 * (value - centre)) / width)),
    LINEAR_EXACT: (value) => (value - centre) / width + 0.5,
    LINEAR: (value) =>
      width === 1 ? Number(value > centre - 0.5) : (value - (centre - 0.5)) / (width - 1) + 0.5,
  };
  const graded = functions[kind] ?? refuse(`VOI LUT function ${kind.slice(0, 20)}`);
  return values.map(graded);
}

/** Millimetres (row, column): PixelSpacing, which was calibrated, before ImagerPixelSpacing, which is the detector's. */
function spacingOf(data) {
  const tags = { PixelSpacing: "x00280030", ImagerPixelSpacing: "x00181164" };
  for (const [name, tag] of Object.entries(tags)) {
    const spacing = [0, 1].map((k) => data.floatString(tag, k));
    if (spacing.every((value) => value > 0 && value < 100)) return { spacing, spacingFrom: name };
  }
  return { spacing: null, spacingFrom: "" };
}
