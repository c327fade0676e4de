/** What the first answer of an isolate takes, and leaves in the memory of what runs the model. */

import { bytesOf } from '../../../src/runtime/bundle.ts';
import { createImageDecoder } from '../../../src/runtime/decode-image.ts';
import { createModelStore } from '../../../src/runtime/model-store.ts';
import { onnxHeapBytes } from '../../../src/runtime/onnx.ts';
import { type Context, timed } from './context.ts';
import { loadImageEncoder, noise } from './encoders.ts';
import { wasmBytes } from './wasm-memory.ts';

/** Of the engine and of onnxruntime, whichever there is. */
const heapBytes = () => wasmBytes('engine') + onnxHeapBytes();

/** Embeds the held picture, and the prompts if there are any, with a model as the API loads it. */
export async function firstAnswer({ held, openFile }: Context, { id, prompts }: { id: string; prompts: string[] }) {
  const models = createModelStore({ ids: [id], openFile, decodeImage: createImageDecoder(), keepAlive: () => {} });
  const model = await models.get(undefined);
  if (prompts.length > 0) await model.embedTexts(prompts, (_, step) => step());
  await model.embedImage(held, (_, step) => step());
  return { heapBytes: heapBytes() };
}

/** The image encoder alone: instantiate, load, encode. */
export async function firstEmbedding(context: Context, { id }: { id: string }) {
  const modelBytes = bytesOf((await context.manifestOf(id)).image.files);
  const pixels = await noise(context, id);
  const ms = await timed(async () => (await loadImageEncoder(context, id)).encodeImage(pixels));
  return { ms, modelBytes, heapBytes: heapBytes() };
}
