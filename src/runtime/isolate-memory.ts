/** The memory of an isolate, as far as the encoders on our engine take it: refused is better than ended by the platform. */
import { ClipError } from '../clip/errors.ts';

/** An isolate has 128 MiB for everything; code, caches and a picture that is decoded need some 16. */
const ENCODER_BYTES = 112 * 1024 * 1024;

export interface IsolateMemory {
  /** @throws model_unavailable if the encoders would then take more than there is */
  claim(encoder: string, bytes: number): void;
  /** It was not loaded after all. */
  release(encoder: string): void;
}

export function createIsolateMemory(limit = ENCODER_BYTES): IsolateMemory {
  const taken = new Map<string, number>();
  return {
    claim(encoder, bytes) {
      taken.delete(encoder); // loaded anew: what was there before is garbage
      const others = [...taken.values()].reduce((sum, n) => sum + n, 0);
      if (others + bytes > limit) {
        const [wants, has, have] = [bytes, limit, others].map((n) => `${(n / 1024 / 1024).toFixed(1)} MiB`);
        const message = `The ${encoder} takes ${wants} of memory; an isolate has ${has} for encoders, ${have} of it taken.`;
        throw new ClipError('model_unavailable', message);
      }
      taken.set(encoder, bytes);
    },
    release: (encoder) => void taken.delete(encoder),
  };
}
