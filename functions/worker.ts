/** The composition root: a deployment's bindings and variables become the parts of the app. */
import { env, waitUntil } from 'cloudflare:workers';
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
}

const bindings = env as unknown as Env;

function limitsOf({ MAX_IMAGES, MAX_MEGAPIXELS, MAX_BODY_MB }: Env): Limits {
  return {
    ...DEFAULT_LIMITS,
    ...(MAX_IMAGES ? { images: Number(MAX_IMAGES) } : {}),
    ...(MAX_MEGAPIXELS ? { pixels: Number(MAX_MEGAPIXELS) * 1e6 } : {}),
    ...(MAX_BODY_MB ? { bodyBytes: Number(MAX_BODY_MB) * 1024 * 1024 } : {}),
  };
}

const limits = limitsOf(bindings);
const openFile = createOpenFile(bindings.ASSETS, bindings.MODEL_BUCKET);

export default createApp({
  models: createModelStore({
    ids: bindings.MODELS.split(',').map((id) => id.trim()),
    openFile,
    decodeImage: createImageDecoder({ pixels: limits.pixels, bytes: limits.decoderBytes }),
    keepAlive: waitUntil,
  }),
  labelSets: createLabelStore(bindings.LABEL_SETS, openFile),
  fetchImage: createFetchImage({ fetch: (url, init) => fetch(url, init), maxBytes: limits.bodyBytes }),
  limits,
  assets: bindings.ASSETS,
});
