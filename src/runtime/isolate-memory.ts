/** The memory of an isolate, as far as the encoders on our engine take it: refused is better than ended by the platform. */
import { ClipError } from '../clip/errors.ts';

/** An isolate has 128 MiB for everything; code, caches and a picture that is decoded need some 16. */
export const ENCODER_BYTES = 112 * 1024 * 1024;

export interface IsolateMemory {
  /** @throws model_unavailable if the encoders would then take more than there is */
  claim(encoder: string, bytes: number): void;
  /** It was not loaded after all. */
  release(encoder: string): void;
}

/** What an encoder will take at least. */
export interface Share {
  encoder: string;
  bytes: number;
}

export const encoderName = (kind: 'image' | 'text', id: string): string => `${kind} encoder of "${id}"`;
export const tokenizerName = (id: string): string => `tokenizer of "${id}"`;

const mebi = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

export interface SharedMemory extends IsolateMemory {
  /** The same memory for others: a share of it stays free for an encoder that is not there yet. */
  keeping(share: Share): IsolateMemory;
}

export function createIsolateMemory(limit = ENCODER_BYTES): SharedMemory {
  const taken = new Map<string, number>();
  const claim = (encoder: string, bytes: number, share?: Share): void => {
    taken.delete(encoder); // loaded anew: what was there before is garbage
    const others = [...taken.values()].reduce((sum, n) => sum + n, 0);
    const kept = share && !taken.has(share.encoder) ? share.bytes : 0;
    if (others + kept + bytes > limit) {
      const rest = kept > 0 ? ` and ${mebi(kept)} kept for the ${share?.encoder}` : '';
      throw new ClipError(
        'model_unavailable',
        `The ${encoder} takes ${mebi(bytes)} of memory; an isolate has ${mebi(limit)} for encoders, ${mebi(others)} of it taken${rest}.`,
      );
    }
    taken.set(encoder, bytes);
  };
  const release = (encoder: string) => void taken.delete(encoder);
  return {
    claim: (encoder, bytes) => claim(encoder, bytes),
    release,
    keeping: (share) => ({ claim: (encoder, bytes) => claim(encoder, bytes, share), release }),
  };
}
