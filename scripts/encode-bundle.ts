/**
 * Embeds pictures and texts with a model bundle by the very code that answers at the edge, for `clip-export verify`:
 *
 *   node scripts/encode-bundle.ts FOLDER
 *
 * Each line of standard input is a request, each line of standard output its answer, both JSON. `embeddings` are base64 of
 * float32, little-endian, [images or texts, embeddingDim], unit rows; `milliseconds` those of each stage, of all together.
 *
 *   {"images": ["photo.jpg", …]} → {"embeddingDim", "embeddings", "refused": {"0": "why"}, "milliseconds": {"decode": 1, …}}
 *   {"texts": ["a dog", …]} → {"embeddingDim", "embeddings", "tokenIds": [[…], …], "milliseconds": {"encode": 1}}
 *
 * `refused` says by index which files the edge does not take; their rows are zeros. What the whole model cannot do (a file is
 * damaged, there is no text encoder) is answered with {"failed": "why"}.
 */
import './wasm-modules.ts';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Measure, Model } from '../src/clip/model.ts';
import type { Tokenizer } from '../src/clip/tokenizer.ts';
import type { OpenFile } from '../src/runtime/bundle.ts';

// imported once the hook of wasm-modules.ts is there
const { ClipError } = await import('../src/clip/errors.ts');
const { createImageDecoder } = await import('../src/runtime/decode-image.ts');
const { loadTokenizer } = await import('../src/runtime/load-tokenizer.ts');
const { createModelStore } = await import('../src/runtime/model-store.ts');

type Request = { images: string[] } | { texts: string[] };

/** Why the edge does not take a picture; anything else concerns the model. */
const OF_THE_PICTURE = new Set(['unsupported_image', 'corrupt_image', 'image_too_large']);

const folder = process.argv[2];
const { id } = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'));

const openFile: OpenFile = async (path) => new Response(await readFile(join(folder, path.slice(id.length + 1)))).body;

const store = createModelStore({
  ids: [id],
  openFile,
  decodeImage: createImageDecoder(),
  keepAlive: () => {},
  encoderBytes: Number.POSITIVE_INFINITY, // whether an isolate has so much is not the question here
});

/** Sums what each stage takes, in milliseconds. */
function stopwatch() {
  const milliseconds: Record<string, number> = {};
  const measure: Measure = (stage, step) => {
    const start = performance.now();
    const book = () => {
      milliseconds[stage] = (milliseconds[stage] ?? 0) + performance.now() - start;
    };
    const result = step();
    if (result instanceof Promise) return result.finally(book) as typeof result;
    book();
    return result;
  };
  return { milliseconds, measure };
}

const base64 = (rows: Float32Array) => Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength).toString('base64');

async function embedImages(model: Model, files: readonly string[]) {
  const dim = model.manifest.embeddingDim;
  const rows = new Float32Array(files.length * dim);
  const refused: Record<string, string> = {};
  const { milliseconds, measure } = stopwatch();
  for (const [i, file] of files.entries()) {
    try {
      rows.set(await model.embedImage(await readFile(file), measure), i * dim);
    } catch (error) {
      if (!(error instanceof ClipError && OF_THE_PICTURE.has(error.code))) throw error;
      refused[i] = error.message;
    }
  }
  return { embeddingDim: dim, embeddings: base64(rows), refused, milliseconds };
}

async function embedTexts(model: Model, texts: readonly string[]) {
  const dim = model.manifest.embeddingDim;
  const rows = new Float32Array(texts.length * dim);
  const { milliseconds, measure } = stopwatch();
  const embedded = await model.embedTexts(texts, measure);
  for (const [i, { embedding }] of embedded.entries()) rows.set(embedding, i * dim);
  tokenizer ??= await loadTokenizer(openFile, { id, tokenizer: model.manifest.text!.tokenizer });
  const tokenIds = texts.map((text) => Array.from(tokenizer!.encode(text).tokenIds));
  return { embeddingDim: dim, embeddings: base64(rows), tokenIds, milliseconds };
}

let tokenizer: Tokenizer | undefined;

async function answer(request: Request): Promise<object> {
  try {
    const model = await store.get();
    return await ('images' in request ? embedImages(model, request.images) : embedTexts(model, request.texts));
  } catch (error) {
    if (error instanceof ClipError) return { failed: error.message };
    throw error;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
