import { describe, expect, it } from 'vitest';
import { readOrientation } from '../../src/runtime/exif.ts';
import { createRandom, exifBlock } from './collect-rows.ts';

describe('EXIF orientation', () => {
  it.each([true, false])('is read in both byte orders, with and without prefix (little: %s)', (little) => {
    for (let orientation = 1; orientation <= 8; orientation++) {
      const block = exifBlock(orientation, little);
      expect(readOrientation(block)).toBe(orientation);
      expect(readOrientation(Buffer.concat([Buffer.from('Exif\0\0'), block]))).toBe(orientation);
    }
  });

  it('is 1 when there is none, it is out of range, or the block is odd', () => {
    expect(readOrientation(undefined)).toBe(1);
    expect(readOrientation(new Uint8Array(0))).toBe(1);
    for (const value of [0, 9, 256, 65535]) expect(readOrientation(exifBlock(value, true))).toBe(1);
    for (let length = 0; length < 20; length++) expect(readOrientation(exifBlock(6, true).subarray(0, length))).toBe(1);
  });

  it('never throws, whatever the bytes', () => {
    const random = createRandom(7);
    for (let i = 0; i < 2000; i++) {
      const block = exifBlock(6, i % 2 === 0);
      for (let n = 0; n < 3; n++) block[Math.floor(random() * block.length)] = random() * 256;
      const orientation = readOrientation(block);
      expect(orientation >= 1 && orientation <= 8).toBe(true);
    }
  });
});
