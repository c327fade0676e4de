/** A model in the Worker against its library: embeddings through HTTP; pixel values and token ids by the Worker's modules. */
import '../../scripts/wasm-modules.ts';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelManifest, parseModelManifest } from '../../src/clip/model-manifest.ts';
import { createPreprocessor } from '../../src/clip/preprocess.ts';
import { readSafeTensors } from '../../src/clip/safetensors.ts';
import { maxDifference } from '../golden.ts';
import { embed } from './embed.ts';

// imported once the hook of wasm-modules.ts is there
const { createImageDecoder } = await import('../../src/runtime/decode-image.ts');
const { loadTokenizer } = await import('../../src/runtime/load-tokenizer.ts');

export interface Family {
  id: string;
  name: string;
  published: string;
  /** the cosine that a picture is to reach on the engine */
  least: number;
  /** of each text, filled up to the context's length */
  tokens: number[][];
  runtimes: Record<'engine' | 'onnx', { model?: string; refused?: string }>;
}

/** families.json of `python -m clip_export.families` */
export interface FamilyFiles {
  photos: string[];
  texts: string[];
  families: Family[];
}

export interface Compared {
  /** the worst cosine of a picture, of a text */
  images: number;
  texts?: number;
  /** the largest difference of a pixel value, after mean and std */
  pixels: number;
  /** "7 of 7" */
  tokens?: string;
}

interface Options {
  url: URL;
  /** of the bundles and references */
  folder: string;
  files: FamilyFiles;
  family: Family;
  model: string;
}

export async function compareFamily({ url, folder, files, family, model }: Options): Promise<Compared> {
  const manifest = parseModelManifest(JSON.parse(await readFile(join(folder, 'models', model, 'model.json'), 'utf8')));
  const { tensors } = readSafeTensors(await readFile(join(folder, `${family.id}.safetensors`)));
  const rows = (name: string, count: number) => rowsOf(tensors.get(name)!.data, count);
  const photos = await Promise.all(files.photos.map((photo) => readFile(join(folder, 'photos', photo))));
  const embeddings = (input: object[]) => embed(url, { model, input });
  const images = await embeddings(photos.map((photo) => ({ image: photo.toString('base64') })));
  return {
    images: worst(images, rows('images', photos.length)),
    pixels: await pixelDifference(manifest, photos, rows('pixels', photos.length)),
    ...(manifest.text ? await compareTexts() : {}),
  };

  async function compareTexts() {
    // the API refuses an empty text, the model does not
    const asked = files.texts.map((text, i) => ({ text, i })).filter(({ text }) => text.trim() !== '');
    const expected = rows('texts', files.texts.length);
    const texts = await embeddings(asked.map(({ text }) => ({ text })));
    const equal = await equalTokens(manifest, folder, files.texts, family.tokens);
    return {
      texts: worst(
        texts,
        asked.map(({ i }) => expected[i]),
      ),
      tokens: `${equal} of ${files.texts.length}`,
    };
  }
}

type Numbers = ArrayLike<number> & { subarray(start: number, end: number): ArrayLike<number> };

function rowsOf(data: unknown, count: number): ArrayLike<number>[] {
  const values = data as Numbers;
  const length = values.length / count;
  return Array.from({ length: count }, (_, i) => values.subarray(i * length, (i + 1) * length));
}

const worst = (a: readonly Float32Array[], b: readonly ArrayLike<number>[]): number =>
  Math.min(...a.map((row, i) => row.reduce((sum, x, k) => sum + x * b[i][k], 0)));

async function pixelDifference(
  { image }: ModelManifest,
  photos: readonly Uint8Array<ArrayBuffer>[],
  expected: readonly ArrayLike<number>[],
): Promise<number> {
  const decode = createImageDecoder({ pixels: 50e6, bytes: 40 * 1024 * 1024 });
  let largest = 0;
  for (const [i, photo] of photos.entries()) {
    const preprocessor = createPreprocessor(image);
    await decode(new Uint8Array(photo), preprocessor.request);
    largest = Math.max(largest, maxDifference(preprocessor.pixelValues(), expected[i]));
  }
  return largest;
}

/** Of the ids that the reference has filled up, those after the text's must all be one: the padding. */
async function equalTokens(
  { id, text }: ModelManifest,
  folder: string,
  texts: readonly string[],
  expected: readonly number[][],
): Promise<number> {
  const openFile = async (path: string) => new Response(await readFile(join(folder, 'models', path))).body;
  const tokenizer = await loadTokenizer(openFile, { id, tokenizer: text!.tokenizer });
  return texts.filter((value, i) => {
    const ids = tokenizer.encode(value).tokenIds;
    const padding = new Set(expected[i].slice(ids.length));
    return padding.size <= 1 && ids.every((token, k) => token === expected[i][k]);
  }).length;
}
