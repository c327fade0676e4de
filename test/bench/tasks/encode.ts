/** The encoders of the model on onnxruntime-web, one input a run, as in the API. */
import { readBundleFile } from '../../../src/runtime/bundle.ts';
import { createOnnxImageEncoder, createOnnxTextEncoder } from '../../../src/runtime/onnx.ts';
import { type Context, sample } from './context.ts';
import { construct, readTokenizerFiles } from './tokenise.ts';

export async function encodeImage({ manifest, openFile }: Context, { runs }: { runs: number }) {
  const { image, embeddingDim } = manifest;
  const encoder = await createOnnxImageEncoder(await readBundleFile(openFile, manifest.id, image.files), {
    size: image.size,
    embeddingDim,
  });
  const grey = new Float32Array(3 * image.size * image.size);
  return sample(runs, () => encoder.encodeImage(grey));
}

/** @returns for each prompt its number of tokens and milliseconds */
export async function encodeText(context: Context, { runs, prompts }: { runs: number; prompts: string[] }) {
  const { manifest, openFile } = context;
  const { embeddingDim, text } = manifest;
  const graph = await readBundleFile(openFile, manifest.id, text!.files);
  const encoder = await createOnnxTextEncoder(graph, { embeddingDim });
  const tokenizer = construct(await readTokenizerFiles(context));
  const results: { tokens: number; ms: number[] }[] = [];
  for (const prompt of prompts) {
    const { tokenIds } = tokenizer.encode(prompt);
    results.push({ tokens: tokenIds.length, ms: await sample(runs, () => encoder.encodeTexts([tokenIds])) });
  }
  return results;
}
