// The page: takes a file, shows the lungs, what they measure and why to look again. Nothing is sent anywhere.

import { encode } from "fast-png";
import { flags, lungsAt, maskResized, rightSide } from "./lungs.js";
import { startNetwork } from "./network.js";
import { bilinearRows, image, resize } from "./opencv.js";
import { drawn, preview } from "./overlay.js";
import { readRadiograph } from "./radiograph.js";

const element = (id) => document.getElementById(id);
const card = JSON.parse(element("card").textContent);
const bytesOf = (id) => Uint8Array.from(atob(element(id).textContent.trim()), (letter) => letter.charCodeAt(0));
let [network, shown, busy] = [null, null, false];

async function unpacked(id) {
  const stream = new Blob([bytesOf(id)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Lets the browser draw what was said before a step that takes its time. */
function painted() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

function say(text, failed = false) {
  element("status").textContent = text;
  element("status").classList.toggle("failed", failed);
}

async function take(file) {
  if (busy || !file) return;
  busy = true;
  clear();
  say(`Reading ${file.name} …`);
  await painted();
  try {
    show(file.name, await segmented(file));
    say("");
  } catch (error) {
    say(`${file.name}: ${error.message}`, true);
  } finally {
    busy = false;
    element("file").value = ""; // so that the same file can be chosen again
  }
}

async function segmented(file) {
  const began = performance.now();
  const { picture, spacing, spacingFrom, remarks, rightAt } = await readRadiograph(file);
  const { height, width } = picture;
  const read = performance.now();
  const small = resize(picture, ...card.size);
  const raw = await network(small);
  const predicted = performance.now();
  const mask = lungsAt(raw, height, width, card.threshold);
  const areas = areasOf(mask, height, width, rightAt);
  const found = [...flags(raw, small, card.threshold, card.exposure), ...remarks];
  const seconds = { read: read - began, network: predicted - read, total: performance.now() - began };
  return { height, width, spacing, spacingFrom, mask, areas, flags: found, seconds, preview: preview(picture) };
}

/** Pixels of the whole mask and of the patient's right and left lung, null where these cannot be told apart. */
function areasOf(mask, height, width, rightAt) {
  let [whole, atLeft] = [0, 0];
  const small = rightSide(maskResized(mask, [height, width], card.size), ...card.size);
  for (const [y, side] of bilinearRowsOrOwn(small, height, width)) {
    for (let x = 0; x < width; x++) {
      const lung = mask[y * width + x];
      whole += lung;
      atLeft += lung && side[x] >= 0.5 ? 1 : 0;
    }
  }
  if (!rightAt) return { whole, right: null, left: null };
  const right = rightAt === "left" ? atLeft : whole - atLeft;
  return { whole, right, left: whole - right };
}

function bilinearRowsOrOwn(side, height, width) {
  if (side.height < height || side.width < width) return bilinearRows(side, height, width);
  const { data } = resize(image(side.height, side.width, side.data.slice()), height, width);
  return Array.from({ length: height }, (_, y) => [y, data.subarray(y * width, (y + 1) * width)]);
}

function clear() {
  shown = null;
  element("result").hidden = true;
}

function show(name, found) {
  shown = { name, ...found };
  const { height, width, spacing, spacingFrom, areas, seconds } = found;
  const factor = spacing ? spacing[0] * spacing[1] : 1;
  const share = (pixels) => ((100 * pixels) / (height * width)).toFixed(1);
  const number = (value, digits) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const area = (pixels) =>
    spacing ? `${number(pixels * factor, 1)} mm²` : `${number(pixels, 0)} px (${share(pixels)} % of the image)`;
  element("name").textContent = name;
  element("size").textContent = `${width} × ${height} pixels`;
  element("spacing").textContent = spacing ? `${spacing[0]} × ${spacing[1]} mm (${spacingFrom})` : "not known";
  for (const side of ["whole", "right", "left"]) {
    element(side).textContent = areas[side] === null ? "not told apart" : area(areas[side]);
    element(side).dataset.pixels = areas[side] ?? "";
  }
  element("seconds").textContent =
    `${number(seconds.total / 1000, 2)} s (reading ${number(seconds.read / 1000, 2)}, ` +
    `network ${number(seconds.network / 1000, 2)})`;
  element("flags").replaceChildren(
    ...found.flags.map((flag) => Object.assign(document.createElement("li"), { textContent: flag })),
  );
  element("clean").hidden = found.flags.length > 0;
  element("result").hidden = false;
  draw();
}

function draw() {
  if (!shown) return;
  const canvas = element("picture");
  [canvas.width, canvas.height] = [shown.preview.width, shown.preview.height];
  const lungs = element("overlay").checked ? shown.mask : null;
  canvas.getContext("2d").putImageData(drawn(shown.preview, lungs, [shown.height, shown.width]), 0, 0);
}

/** The mask at the image's own size, 255 is lung, as `lungseg predict` writes it. */
function save() {
  const data = shown.mask.map((value) => 255 * value);
  const png = encode({ width: shown.width, height: shown.height, data, depth: 8, channels: 1 });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([png], { type: "image/png" }));
  link.download = `${shown.name.replace(/\.[^.]*$/, "")}_mask.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function listen() {
  const drop = element("drop");
  const over = (event) => {
    event.preventDefault();
    drop.classList.toggle("over", event.type === "dragover");
  };
  for (const kind of ["dragover", "dragleave"]) document.addEventListener(kind, over);
  document.addEventListener("drop", (event) => {
    over(event);
    take(event.dataTransfer.files[0]);
  });
  element("file").addEventListener("change", (event) => take(event.target.files[0]));
  element("choose").addEventListener("click", () => element("file").click());
  element("sample").addEventListener("click", () => take(new File([bytesOf("phantom")], "phantom.png")));
  element("overlay").addEventListener("change", draw);
  element("save").addEventListener("click", save);
  for (const id of ["choose", "sample"]) element(id).disabled = false;
}

try {
  say("Starting the network …");
  await painted();
  network = await startNetwork(await unpacked("wasm"), bytesOf("graph"), card);
  listen();
  say("");
} catch (error) {
  say(`The network cannot start in this browser (${error.message}); use a newer one, or \`lungseg predict\`.`, true);
}
