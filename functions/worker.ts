/** The composition root: a deployment's bindings and variables become the parts of the app. */
import { env, waitUntil } from 'cloudflare:workers';
import { NAME_PATTERN } from '../src/clip/label-set.ts';
import { type Bucket, createOpenFile } from '../src/runtime/bundle.ts';
import { createImageDecoder } from '../src/runtime/decode-image.ts';
import { createLabelStore, type LabelKv } from '../src/runtime/label-store.ts';
import { createModelStore } from '../src/runtime/model-store.ts';
import { createApp } from './app.ts';
import { createFetchImage } from './fetch-image.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';

/** What wrangler.toml binds. */
interface Env {
  ASSETS: Fetcher;
  LABEL_SETS: LabelKv;
  MODEL_BUCKET?: Bucket;
  MODELS: string;
  MAX_IMAGES?: string;
  MAX_MEGAPIXELS?: string;
  MAX_BODY_MB?: string;
  MAX_ENCODER_MB?: string;
}

const bindings = env as unknown as Env;

/** A wrong number would switch its limit off: every comparison with NaN is false. So the Worker does not start with one. */
function positive(name: keyof Env & `MAX_${string}`, unit: number): number | undefined {
  const text = bindings[name];
  if (text === undefined) return undefined;
  const value = Number(text) * unit;
  if (!(value > 0 && value < Number.MAX_SAFE_INTEGER))
    throw new Error(`${name} in wrangler.toml is "${text}", not a number`);
  return value;
}

function modelIds(): string[] {
  const ids = bindings.MODELS.split(',').map((id) => id.trim());
  const wrong = ids.find((id) => !NAME_PATTERN.test(id));
  if (wrong !== undefined) throw new Error(`MODELS in wrangler.toml names "${wrong}", which is no id of a model`);
  return ids;
}

const limits: Limits = {
  ...DEFAULT_LIMITS,
  images: positive('MAX_IMAGES', 1) ?? DEFAULT_LIMITS.images,
  pixels: positive('MAX_MEGAPIXELS', 1e6) ?? DEFAULT_LIMITS.pixels,
  bodyBytes: positive('MAX_BODY_MB', 1024 * 1024) ?? DEFAULT_LIMITS.bodyBytes,
};
const openFile = createOpenFile(bindings.ASSETS, bindings.MODEL_BUCKET);

export default createApp({
  models: createModelStore({
    ids: modelIds(),
    openFile,
    decodeImage: createImageDecoder({ pixels: limits.pixels, bytes: limits.decoderBytes }),
    keepAlive: waitUntil,
    encoderBytes: positive('MAX_ENCODER_MB', 1024 * 1024),
  }),
  labelSets: createLabelStore(bindings.LABEL_SETS, openFile),
  fetchImage: createFetchImage({ fetch: (url, init) => fetch(url, init), maxBytes: limits.bodyBytes }),
  limits,
  assets: bindings.ASSETS,
});
