// The trained network on onnxruntime-web, its WebAssembly taken from the page itself: nothing is fetched.

import * as ort from "onnxruntime-web/wasm";
import { image } from "./opencv.js";

/** A function from a picture at the network's size to its lung probabilities. */
export async function startNetwork(wasm, graph, { size: [height, width] }) {
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1; // more would need headers that a file has none of
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
  return async (picture) => {
    const input = new ort.Tensor("float32", picture.data, [1, height, width, 1]);
    const outputs = await session.run({ [session.inputNames[0]]: input });
    return image(height, width, outputs[session.outputNames[0]].data);
  };
}
