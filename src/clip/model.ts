/** A model in use: pictures and texts in, embeddings out. Knows no file, no network and no inference engine. */
import type { ClipImageEncoder, ClipTextEncoder, Embedding } from './encoders.ts';
import { ClipError } from './errors.ts';
import { createLru } from './lru.ts';
import type { ModelManifest } from './model-manifest.ts';
import type { DecodeImage } from './pixels.ts';
import { createPreprocessor } from './preprocess.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The steps that `Server-Timing` names. */
export type Stage = 'fetch' | 'decode' | 'preprocess' | 'encode' | 'score';

/** Runs a step and books its time under the stage. */
export type Measure = <T>(stage: Stage, step: () => T) => T;

export interface TextEmbedding {
  embedding: Embedding;
  /** including start and end token */
  tokens: number;
  /** The text was longer than the model's context and was cut. */
  truncated: boolean;
}

export interface Model {
  manifest: ModelManifest;
  /** @throws unsupported_image, corrupt_image, image_too_large, model_unavailable */
  embedImage(bytes: Uint8Array, measure: Measure): Promise<Embedding>;
  /** In order. @throws no_text_encoder, model_unavailable */
  embedTexts(texts: readonly string[], measure: Measure): Promise<TextEmbedding[]>;
}

/** What a model is made of. The encoders are loaded when they are first needed: a built-in set needs no text encoder. */
export interface ModelParts {
  decodeImage: DecodeImage;
  imageEncoder(): Promise<ClipImageEncoder>;
  textEncoder(): Promise<{ encoder: ClipTextEncoder; tokenizer: Tokenizer }>;
  /** Bytes of text embeddings that are remembered; the ones unused for longest are forgotten. */
  textCacheBytes: number;
}

export function createModel(manifest: ModelManifest, parts: ModelParts): Model {
  const textCache = createLru<TextEmbedding>(parts.textCacheBytes, () => manifest.embeddingDim * 4 + TEXT_OVERHEAD);

  /** Those that are remembered, and all others in one call of the encoder. */
  async function embed(texts: ReadonlySet<string>): Promise<Map<string, TextEmbedding>> {
    const embeddings = new Map<string, TextEmbedding>();
    const unknown: string[] = [];
    for (const text of texts) {
      const known = textCache.get(text);
      if (known) embeddings.set(text, known);
      else unknown.push(text);
    }
    if (unknown.length === 0) return embeddings;
    const { encoder, tokenizer } = await parts.textEncoder();
    const tokenised = unknown.map((text) => tokenizer.encode(text));
    const encoded = await encoder.encodeTexts(tokenised.map(({ tokenIds }) => tokenIds));
    for (const [i, text] of unknown.entries()) {
      const { tokenIds, truncated } = tokenised[i];
      const embedding = { embedding: encoded[i], tokens: tokenIds.length, truncated };
      if (text.length <= LONGEST_REMEMBERED) textCache.set(text, embedding);
      embeddings.set(text, embedding);
    }
    return embeddings;
  }

  return {
    manifest,
    async embedImage(bytes, measure) {
      const preprocessor = createPreprocessor(manifest.image);
      await measure('decode', () => parts.decodeImage(bytes, preprocessor.request));
      const pixelValues = measure('preprocess', () => preprocessor.pixelValues());
      return measure('encode', async () => (await parts.imageEncoder()).encodeImage(pixelValues));
    },
    async embedTexts(texts, measure) {
      if (!manifest.text) {
        throw new ClipError(
          'no_text_encoder',
          `Model "${manifest.id}" has no text encoder; use a label set that was made with clip-export, or another model.`,
        );
      }
      return measure('encode', async () => {
        const embeddings = await embed(new Set(texts));
        return texts.map((text) => embeddings.get(text)!);
      });
    },
  };
}

/** Longer texts are hardly labels, and would make the cache's size hard to tell. In characters. */
const LONGEST_REMEMBERED = 200;

/** Bytes that an entry takes beside its floats: the key (2 a character), the objects. An estimate that errs upwards. */
const TEXT_OVERHEAD = 2 * LONGEST_REMEMBERED + 200;
