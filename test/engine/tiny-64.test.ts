/** The default model's encoders against PyTorch in float32, from its bundle. */
import { expect, it } from 'vitest';
import { cosines } from '../../src/clip/embedding.ts';
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { createEngineImageEncoder, createEngineTextEncoder } from '../../src/runtime/engine.ts';
import { loadTokenizer } from '../../src/runtime/load-tokenizer.ts';
import { goldenJson, goldenTensors, readBytes, readJson } from '../golden.ts';

const FOLDER = 'public/models/tiny-64';
const LEAST_COSINE = 0.9995;

const manifest = parseModelManifest(readJson(`${FOLDER}/model.json`));
const { id, embeddingDim, image, text } = manifest;
const openFile = async (path: string) => new Response(readBytes(`public/models/${path}`)).body;
const { images, texts } = goldenJson<{ images: string[]; texts: string[] }>('embeddings');
const golden = (name: string) => goldenTensors('embeddings').tensors.get(name)!.data as Float32Array;

it('images', async () => {
  if (image.runtime !== 'engine') throw new Error('the default image encoder is not for the engine');
  const encoder = await createEngineImageEncoder(openFile, { id, embeddingDim, image });
  const pixels = goldenTensors('pixels').tensors;
  for (const name of ['chelsea.png', 'grace_hopper.jpg']) {
    const embedding = await encoder.encodeImage(pixels.get(`${name}/pixel-values`)!.data as Float32Array);
    expect(cosines(embedding, golden('images'))[images.indexOf(name)], name).toBeGreaterThan(LEAST_COSINE);
  }
});

it('texts', async () => {
  if (text?.runtime !== 'engine') throw new Error('the default text encoder is not for the engine');
  const encoder = await createEngineTextEncoder(openFile, { id, embeddingDim, text });
  const tokenizer = await loadTokenizer(openFile, { id, tokenizer: text.tokenizer });
  const embeddings = await encoder.encodeTexts(texts.map((prompt) => tokenizer.encode(prompt).tokenIds));
  for (const [i, prompt] of texts.entries()) {
    expect(cosines(embeddings[i], golden('texts'))[i], prompt).toBeGreaterThan(LEAST_COSINE);
  }
});
