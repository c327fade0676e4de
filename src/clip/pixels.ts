/**
 * Where decoded pixels go. A decoder (`src/runtime`) pushes the rows of a picture, top to bottom, into a sink
 * (`preprocess.ts`), so that no picture has to be held whole unless its format demands it.
 */

/** Takes the rows of one picture, top to bottom, each once. */
export interface RowSink {
  /** Pixel x of the row is 8-bit R, G, B at `data[offset + x * step]`, `+ 1` and `+ 2`. `data` is only borrowed for the call. */
  row(data: Uint8Array, offset: number, step: number): void;
}

/** A picture that its decoder reduced: pixel (0, 0) of what it delivers stands for `by` × `by` pixels of the picture. */
export interface Reduction {
  by: number;
  /** Size of the upright picture itself, not always a multiple of `by`: the last pixels then stand for less. */
  width: number;
  height: number;
  /** Whether turning the picture upright made the last pixels the first. */
  mirroredX: boolean;
  mirroredY: boolean;
}

/**
 * Called once the size is known and before any pixel is decoded. Width and height are those of the upright rows that will
 * be pushed; `reduction` is given if they are not the picture's own.
 */
export type OpenSink = (width: number, height: number, reduction?: Reduction) => RowSink;

export interface DecodeRequest {
  /**
   * Shortest side in pixels below which the picture must not be reduced while decoding: a decoder that can halve a
   * picture cheaply may do so as long as the result's shorter side is at least this.
   */
  minShortSide: number;
  open: OpenSink;
}

/**
 * Decodes one picture to upright (EXIF orientation applied) 8-bit RGB rows; alpha is dropped, as PIL's `convert("RGB")` does.
 * Throws `unsupported_image`, `corrupt_image` (truncated ones too) or `image_too_large`.
 */
export type DecodeImage = (bytes: Uint8Array, request: DecodeRequest) => Promise<void>;
