/** The models of a deployment, each loaded when it is first asked for, part by part, once per isolate. */
import { FieldError } from '../clip/checked-json.ts';
import { ClipError } from '../clip/errors.ts';
import { createModel, type Model } from '../clip/model.ts';
import { type ModelManifest, parseModelManifest } from '../clip/model-manifest.ts';
import type { DecodeImage } from '../clip/pixels.ts';
import { bytesOf, type OpenFile, readBundleFile, readFile } from './bundle.ts';
import { createEngineImageEncoder, createEngineTextEncoder } from './engine.ts';
import { createIsolateMemory, encoderName, type SharedMemory, tokenizerName } from './isolate-memory.ts';
import { type KeepAlive, loadOnce } from './load-once.ts';
import { loadTokenizer } from './load-tokenizer.ts';

export interface ModelStore {
  /** the first is the default */
  ids: readonly string[];
  /** @throws model_not_found, model_unavailable */
  get(id?: string): Promise<Model>;
}

export interface ModelStoreOptions {
  ids: readonly string[];
  openFile: OpenFile;
  decodeImage: DecodeImage;
  keepAlive: KeepAlive;
  /** that the encoders may take; by default what an isolate of Cloudflare's has for them */
  encoderBytes?: number;
}

/** Room for about 3,000 ad-hoc labels of a 256-dimensional model. */
const TEXT_CACHE_BYTES = 4 * 1024 * 1024;

export function createModelStore(options: ModelStoreOptions): ModelStore {
  const { ids, keepAlive } = options;
  const memory = createIsolateMemory(options.encoderBytes);
  const models = new Map(ids.map((id) => [id, loadOnce(() => loadModel(id, options, memory), keepAlive)]));
  return {
    ids,
    get(id = ids[0]) {
      const load = models.get(id);
      if (!load) throw new ClipError('model_not_found', `There is no model "${id}" here; there is ${ids.join(', ')}.`);
      return load();
    },
  };
}

async function loadModel(
  id: string,
  { openFile: openAny, decodeImage, keepAlive }: ModelStoreOptions,
  memory: SharedMemory,
): Promise<Model> {
  const manifest = await readManifest(id, openAny);
  const { image, text, embeddingDim, storage } = manifest;
  const openFile: OpenFile = (path) => openAny(path, storage);
  const loadImageEncoder = async () => {
    if (image.runtime === 'engine') return createEngineImageEncoder(openFile, { id, embeddingDim, image }, memory);
    const graph = await readBundleFile(openFile, id, image.files);
    const { createOnnxImageEncoder } = await import('#onnx');
    return createOnnxImageEncoder(graph, { size: image.size, embeddingDim });
  };
  const loadTextEncoder = async () => {
    if (!text) throw new ClipError('no_text_encoder', `Model "${id}" has no text encoder.`);
    // a text must not take the place of the image encoder, which every picture needs
    const own = memory.keeping({ encoder: encoderName('image', id), bytes: bytesOf(image.files) });
    const tokenizer = await loadTokenizer(openFile, { id, tokenizer: text.tokenizer }, own);
    try {
      if (text.runtime === 'engine') {
        return { tokenizer, encoder: await createEngineTextEncoder(openFile, { id, embeddingDim, text }, own) };
      }
      const graph = await readBundleFile(openFile, id, text.files);
      const { createOnnxTextEncoder } = await import('#onnx');
      return { tokenizer, encoder: await createOnnxTextEncoder(graph, { ...text, embeddingDim }) };
    } catch (error) {
      own.release(tokenizerName(id)); // nobody has it
      throw error;
    }
  };
  return createModel(manifest, {
    decodeImage,
    imageEncoder: loadOnce(loadImageEncoder, keepAlive),
    textEncoder: loadOnce(loadTextEncoder, keepAlive),
    textCacheBytes: TEXT_CACHE_BYTES,
  });
}

async function readManifest(id: string, openFile: OpenFile): Promise<ModelManifest> {
  const path = `${id}/model.json`;
  const fail = (what: string, cause?: unknown): never => {
    throw new ClipError(
      'model_unavailable',
      `The manifest ${path} ${what}; export and deploy (or publish) the bundle again.`,
      {
        cause,
      },
    );
  };
  const bytes = (await readFile(openFile, path)) ?? fail('is missing');
  try {
    const manifest = parseModelManifest(JSON.parse(new TextDecoder().decode(bytes)));
    return manifest.id === id ? manifest : fail(`is that of "${manifest.id}"`);
  } catch (error) {
    if (error instanceof FieldError) fail(`is not usable: ${error.message}`, error);
    if (error instanceof SyntaxError) fail('is not JSON', error);
    throw error;
  }
}
