/** Reads what `clip-export golden` wrote from the reference implementations. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafeTensors, type SafeTensors } from '../src/clip/safetensors.ts';

const root = join(import.meta.dirname, '..');

/** @param path relative to the repository's root */
export const readBytes = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(join(root, path)));

export const readJson = <T>(path: string): T => JSON.parse(readFileSync(join(root, path), 'utf8'));

export const goldenJson = <T>(name: string): T => readJson(`test/fixtures/golden/${name}.json`);

export const goldenTensors = (name: string): SafeTensors =>
  readSafeTensors(readBytes(`test/fixtures/golden/${name}.safetensors`));

/** The largest absolute difference; of different lengths, infinite. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let max = 0;
  for (let i = 0; i < a.length; i++) max = Math.max(max, Math.abs(a[i] - b[i]));
  return max;
}
