/** Encoders on our engine, their weights streamed from the bundle into its memory. */
import type { ClipImageEncoder, ClipTextEncoder } from '../clip/encoders.ts';
import { ClipError } from '../clip/errors.ts';
import type { ImageEncoderManifest, TextEncoderManifest } from '../clip/model-manifest.ts';
import { EngineError } from '../engine/engine-error.ts';
import { loadImageEncoder } from '../engine/image-encoder.ts';
import { loadTextEncoder } from '../engine/text-encoder.ts';
import type { ModelFile } from '../engine/weights.ts';
import { type BundleParts, bytesOf, type OpenFile, readBundleInto } from './bundle.ts';
import { nextTurn } from './next-turn.ts';

/** What of a manifest runs on the engine. */
export type OnEngine<Manifest> = Extract<Manifest, { runtime: 'engine' }>;

const modelFile = (openFile: OpenFile, bundle: BundleParts): ModelFile => ({
  bytes: bytesOf(bundle.parts),
  readInto: (target) => readBundleInto(openFile, bundle, target),
});

async function asModelUnavailable<T>(id: string, load: Promise<T>): Promise<T> {
  try {
    return await load;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const message = `The engine cannot load model "${id}": ${error.message}; export it again with clip-export.`;
    throw new ClipError('model_unavailable', message, { cause: error });
  }
}

/** @throws model_unavailable */
export function createEngineImageEncoder(
  openFile: OpenFile,
  { id, embeddingDim, image }: { id: string; embeddingDim: number; image: OnEngine<ImageEncoderManifest> },
): Promise<ClipImageEncoder> {
  const file = modelFile(openFile, { folder: id, parts: image.files });
  return asModelUnavailable(id, loadImageEncoder({ ...image, embeddingDim }, file));
}

/** @throws model_unavailable */
export function createEngineTextEncoder(
  openFile: OpenFile,
  { id, embeddingDim, text }: { id: string; embeddingDim: number; text: OnEngine<TextEncoderManifest> },
): Promise<ClipTextEncoder> {
  const { architecture, contextLength, padId, tokenizer, files } = text;
  const file = modelFile(openFile, { folder: id, parts: files });
  const { vocabularySize, endOfText } = tokenizer;
  const spec = { architecture, contextLength, vocabularySize, endOfText, padId, embeddingDim };
  return asModelUnavailable(id, loadTextEncoder(spec, file, nextTurn));
}
