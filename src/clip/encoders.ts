/** What the two encoders take and give. Implementations live in `src/runtime` (onnxruntime-web) and `src/engine`. */

/** [3, size, size], channel first, (x / 255 − mean) / std. */
export type PixelValues = Float32Array;

/** [length], start token … end token, at the text's own length (no padding), length ≤ the model's context length. */
export type TokenIds = Int32Array;

/** [embeddingDim], L2-normalised, so that a dot product of two of them is their cosine. */
export type Embedding = Float32Array;

export interface ClipImageEncoder {
  encodeImage(pixelValues: PixelValues): Promise<Embedding>;
}

export interface ClipTextEncoder {
  /**
   * In order. The same ids give the same embedding, to the last bit, whatever else is encoded with them or was before.
   * A long list lets other work have its turn in between.
   */
  encodeTexts(texts: readonly TokenIds[]): Promise<Embedding[]>;
}

/** How a text encoder wants shorter texts filled up. */
export interface Padding {
  contextLength: number;
  /** null: not at all, it takes them at their own length */
  padId: number | null;
}

/** A copy of a text's ids as its encoder takes them. */
export function padded(tokenIds: TokenIds, { contextLength, padId }: Padding): TokenIds {
  if (padId === null) return tokenIds.slice();
  const whole = new Int32Array(contextLength).fill(padId);
  whole.set(tokenIds);
  return whole;
}
