/** What the first answer of an isolate leaves in onnxruntime's heap. */
import { createImageDecoder } from '../../../src/runtime/decode-image.ts';
import { createModelStore } from '../../../src/runtime/model-store.ts';
import { onnxHeapBytes } from '../../../src/runtime/onnx.ts';
import type { Context } from './context.ts';

/** Embeds the held picture, and the prompts if there are any, with a model as the API loads it. */
export async function firstAnswer({ held, manifest, openFile }: Context, { prompts }: { prompts: string[] }) {
  const models = createModelStore({
    ids: [manifest.id],
    openFile,
    decodeImage: createImageDecoder(),
    keepAlive: () => {},
  });
  const model = await models.get(undefined);
  if (prompts.length > 0) await model.embedTexts(prompts, (_, step) => step());
  await model.embedImage(held, (_, step) => step());
  return { heapBytes: onnxHeapBytes() };
}
