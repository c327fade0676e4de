/** Encoders on our engine, their weights streamed from the bundle into its memory. */
import type { ClipImageEncoder, ClipTextEncoder } from '../clip/encoders.ts';
import { ClipError } from '../clip/errors.ts';
import type { ImageEncoderManifest, TextEncoderManifest } from '../clip/model-manifest.ts';
import { EngineError } from '../engine/engine-error.ts';
import { loadImageEncoder } from '../engine/image-encoder.ts';
import type { ClaimMemory } from '../engine/kernels.ts';
import type { ModelFile } from '../engine/model-file.ts';
import { loadTextEncoder } from '../engine/text-encoder.ts';
import { type BundleParts, bytesOf, type OpenFile, readBundleInto } from './bundle.ts';
import { encoderName, type IsolateMemory } from './isolate-memory.ts';
import { nextTurn } from './next-turn.ts';

/** What of a manifest runs on the engine. */
export type OnEngine<Manifest> = Extract<Manifest, { runtime: 'engine' }>;

const modelFile = (openFile: OpenFile, bundle: BundleParts): ModelFile => ({
  bytes: bytesOf(bundle.parts),
  readInto: (target) => readBundleInto(openFile, bundle, target),
});

/** @param load is given what claims memory */
async function loadEncoder<T>(
  { id, kind, memory }: { id: string; kind: 'image' | 'text'; memory?: IsolateMemory },
  load: (claimMemory: ClaimMemory) => Promise<T>,
): Promise<T> {
  const encoder = encoderName(kind, id);
  try {
    return await load((bytes) => memory?.claim(encoder, bytes));
  } catch (error) {
    memory?.release(encoder);
    if (!(error instanceof EngineError)) throw error;
    const message = `The engine cannot load model "${id}": ${error.message}; export it again with clip-export.`;
    throw new ClipError('model_unavailable', message, { cause: error });
  }
}

/**
 * @param memory what the encoder's memory is taken of; without, it may have any
 * @throws model_unavailable
 */
export function createEngineImageEncoder(
  openFile: OpenFile,
  { id, embeddingDim, image }: { id: string; embeddingDim: number; image: OnEngine<ImageEncoderManifest> },
  memory?: IsolateMemory,
): Promise<ClipImageEncoder> {
  const file = modelFile(openFile, { folder: id, parts: image.files });
  return loadEncoder({ id, kind: 'image', memory }, (claimMemory) =>
    loadImageEncoder({ ...image, embeddingDim, claimMemory }, file),
  );
}

/**
 * @param memory what the encoder's memory is taken of; without, it may have any
 * @throws model_unavailable
 */
export function createEngineTextEncoder(
  openFile: OpenFile,
  { id, embeddingDim, text }: { id: string; embeddingDim: number; text: OnEngine<TextEncoderManifest> },
  memory?: IsolateMemory,
): Promise<ClipTextEncoder> {
  const { architecture, contextLength, padId, tokenizer, files } = text;
  const file = modelFile(openFile, { folder: id, parts: files });
  const { vocabularySize, endOfText } = tokenizer;
  const spec = { architecture, contextLength, vocabularySize, endOfText, padId, embeddingDim };
  return loadEncoder({ id, kind: 'text', memory }, (claimMemory) =>
    loadTextEncoder({ ...spec, claimMemory }, file, nextTurn),
  );
}
