/** A bundle that `clip-export export` made of an open_clip checkpoint, against open_clip in float32. */
import { expect, it } from 'vitest';
import { cosines } from '../../src/clip/embedding.ts';
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { createPreprocessor } from '../../src/clip/preprocess.ts';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { createEngineImageEncoder, createEngineTextEncoder } from '../../src/runtime/engine.ts';
import { loadTokenizer } from '../../src/runtime/load-tokenizer.ts';
import { goldenJson, goldenTensors, maxDifference, readBytes, readJson } from '../golden.ts';

const MODELS = 'test/fixtures/golden/models';
const LEAST_COSINE = 0.9999;

const manifest = parseModelManifest(readJson(`${MODELS}/open-clip/model.json`));
const { id, embeddingDim, image, text } = manifest;
const openFile = async (path: string) => new Response(readBytes(`${MODELS}/${path}`)).body;
const decode = createImageDecoder({ pixels: 50e6, bytes: 40 * 1024 * 1024 });
const { images, texts } = goldenJson<{ images: string[]; texts: string[] }>('open-clip');
const golden = (name: string) => goldenTensors('open-clip').tensors.get(name)!.data as Float32Array;

it('has what CLIP has not', () => {
  expect(manifest).toMatchObject({
    source: { kind: 'open_clip' },
    similarity: { kind: 'sigmoid', logitBias: -10 },
    image: { resize: 'squash', interpolation: 'bilinear', runtime: 'engine' },
    text: { contextLength: 20, pooling: 'last', padId: 0, runtime: 'engine' },
  });
});

it('pixel values, equal to those of open_clip’s own transform to the bit', async () => {
  const values = 3 * image.size ** 2;
  for (const [i, name] of images.entries()) {
    if (!name.endsWith('.png')) continue; // our decoder makes large JPEGs smaller as it reads them
    const preprocessor = createPreprocessor(image);
    await decode(readBytes(`samples/${name}`), preprocessor.request);
    expect(maxDifference(preprocessor.pixelValues(), golden('pixels').subarray(i * values, (i + 1) * values))).toBe(0);
  }
});

it('images', async () => {
  if (image.runtime !== 'engine') throw new Error('the image encoder is not for the engine');
  const encoder = await createEngineImageEncoder(openFile, { id, embeddingDim, image });
  const values = 3 * image.size ** 2;
  for (const [i, name] of images.entries()) {
    const embedding = await encoder.encodeImage(golden('pixels').slice(i * values, (i + 1) * values));
    expect(cosines(embedding, golden('images'))[i], name).toBeGreaterThan(LEAST_COSINE);
  }
});

it('texts, by the tokenizer that all bundles have', async () => {
  if (text?.runtime !== 'engine') throw new Error('the text encoder is not for the engine');
  const { tokenizer: common } = parseModelManifest(readJson('public/models/tiny-64/model.json')).text!;
  expect(text.tokenizer).toEqual({ ...common, contextLength: 20 });
  const openCommon = async (path: string) => new Response(readBytes(`public/models/${path}`)).body;
  const tokenizer = await loadTokenizer(openCommon, { id: 'tiny-64', tokenizer: text.tokenizer });
  const encoder = await createEngineTextEncoder(openFile, { id, embeddingDim, text });
  const embeddings = await encoder.encodeTexts(texts.map((prompt) => tokenizer.encode(prompt).tokenIds));
  for (const [i, prompt] of texts.entries()) {
    expect(cosines(embeddings[i], golden('texts'))[i], prompt).toBeGreaterThan(LEAST_COSINE);
  }
});
