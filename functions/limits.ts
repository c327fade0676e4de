import { DEFAULT_LIMITS as DECODER_LIMITS } from '../src/runtime/decode-image.ts';

/** What one request may cost. A deployment sets its own in wrangler.toml's [vars]. */
export interface Limits {
  /** of a request's body, and of an image fetched from a URL */
  bodyBytes: number;
  /** in one request */
  images: number;
  /** of one image */
  pixels: number;
  /** that decoding one image may take, beside its file: an isolate has 128 MB for everything */
  decoderBytes: number;
}

const MEBI = 1024 * 1024;

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 20 * MEBI,
  images: 16,
  pixels: DECODER_LIMITS.pixels,
  decoderBytes: DECODER_LIMITS.bytes,
};
