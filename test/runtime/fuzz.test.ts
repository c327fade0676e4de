import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { createRandom, failureOf } from './collect-rows.ts';

const MUTATIONS = 300;
const decode = createImageDecoder({ pixels: 4e6 });

/** Changes up to 8 bytes, half of them near the beginning, and cuts every fifth file. */
function mutate(file: Uint8Array, random: () => number): Uint8Array {
  const length = random() < 0.2 ? 1 + Math.floor(random() * file.length) : file.length;
  const mutated = file.slice(0, length);
  for (let n = Math.floor(random() * 8); n >= 0; n--) {
    const reach = random() < 0.5 ? Math.min(700, length) : length;
    mutated[Math.floor(random() * reach)] = random() * 256;
  }
  return mutated;
}

describe('damaged at random', () => {
  it.each([
    'jpeg-420.jpg',
    'jpeg-progressive-444.jpg',
    'jpeg-cmyk.jpg',
    'jpeg-orientation-6.jpg',
    'png-rgb-8.png',
    'png-palette-4-adam7.png',
    'png-orientation-6.png',
    'webp-lossy-alpha.webp',
    'webp-lossless.webp',
    'webp-animated-lossy.webp',
    'webp-orientation-6.webp',
    'gif-interlaced.gif',
    'gif-small-transparent-frame.gif',
  ])('%s gives pixels or one of three errors', async (name) => {
    const file = new Uint8Array(await readFile(`test/fixtures/images/${name}`));
    const random = createRandom(20_261_124);
    const codes = new Set<string>();
    for (let i = 0; i < MUTATIONS; i++) {
      codes.add((await failureOf(mutate(file, random), { decode })).code);
    }
    for (const code of codes) {
      expect(['decoded', 'corrupt_image', 'unsupported_image', 'image_too_large']).toContain(code);
    }
    expect((await failureOf(file, { decode })).code).toBe('decoded');
  });
});
