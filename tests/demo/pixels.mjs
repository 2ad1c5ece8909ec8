// Runs the page's functions of pixels on what a test sends: JSON lines in, JSON lines out, arrays as base64 of float32.
import { createInterface } from "node:readline";
import * as lungs from "../../lungseg/demo/src/lungs.js";
import { image, resize } from "../../lungseg/demo/src/opencv.js";

const read = ({ height, width, data }) => {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return image(height, width, new Float32Array(bytes.buffer));
};
const bytes = ({ data }) => Uint8Array.from(data);
const written = ({ height, width, data }) => ({ height, width, data: Buffer.from(data.buffer).toString("base64") });

const asked = {
  resize: ({ source, height, width }) => written(resize(read(source), height, width)),
  flags: ({ probability, picture, usual }) => lungs.flags(read(probability), read(picture), 0.5, usual),
  side: ({ mask }) => written(lungs.rightSide(bytes(read(mask)), mask.height, mask.width)),
  lungs: ({ probability, height, width }) =>
    written(image(height, width, Float32Array.from(lungs.lungsAt(read(probability), height, width, 0.5)))),
  resizeMask: ({ mask, height, width }) =>
    written(image(height, width, Float32Array.from(lungs.maskResized(bytes(read(mask)), [mask.height, mask.width], [height, width])))),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { what, ...rest } = JSON.parse(line);
  console.log(JSON.stringify(asked[what](rest)));
}
