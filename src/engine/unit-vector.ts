/** The last step of every encoder. */
import { normalise } from '../clip/embedding.ts';
import type { Embedding } from '../clip/encoders.ts';
import { EngineError } from './engine-error.ts';

/** A copy of length 1. A NaN or an infinity anywhere on the way has come through to here: then some of it is NaN. */
export function unitVector(vector: Float32Array): Embedding {
  const unit = normalise(vector);
  if (unit.some(Number.isNaN) || unit.every((x) => x === 0)) {
    throw new EngineError(
      'the embedding has no direction: a pixel or a weight is not a finite number, or a product of them too large',
    );
  }
  return unit;
}
