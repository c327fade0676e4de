import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { collectRows, createRandom, exifBlock, failureOf, testPattern, transposed } from './collect-rows.ts';
import { makePng, type PngPlan, pngChunk, wrapPng } from './make-png.ts';

const SIZE = { width: 37, height: 23 };
const PALETTE = Array.from({ length: 256 * 3 }, (_, i) => (i * 89 + 7) % 256);

function plan(colourType: number, depth: number, more: Partial<PngPlan> = {}): PngPlan {
  const random = createRandom(colourType * 100 + depth);
  const samples = Array.from({ length: SIZE.width * SIZE.height * 4 }, () => Math.floor(random() * 2 ** depth));
  const sample = (x: number, y: number, channel: number) => samples[(y * SIZE.width + x) * 4 + channel];
  const palette = colourType === 3 ? PALETTE.slice(0, 3 * 2 ** depth) : undefined;
  return { ...SIZE, colourType, depth, sample, palette, ...more };
}

/** The pixels that a plan describes: high byte of 16 bits, small depths spread over 0 to 255, alpha left out. */
function truth({ width, height, colourType, depth, sample, palette }: PngPlan): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < rgb.length; i++) {
    const [x, y, channel] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    const value = sample(x, y, colourType === 2 || colourType === 6 ? channel : 0);
    if (colourType === 3) rgb[i] = palette?.[value * 3 + channel] ?? 0;
    else rgb[i] = depth === 16 ? value >> 8 : (value * 255) / (2 ** depth - 1);
  }
  return rgb;
}

const KINDS: [colourType: number, depth: number][] = [
  ...[1, 2, 4, 8, 16].map((depth): [number, number] => [0, depth]),
  ...[1, 2, 4, 8].map((depth): [number, number] => [3, depth]),
  ...[2, 4, 6].flatMap((colourType): [number, number][] => [
    [colourType, 8],
    [colourType, 16],
  ]),
];

describe.each(KINDS)('colour type %i with %i bits', (colourType, depth) => {
  it.each([false, true])('gives the exact pixels (interlaced: %s)', async (interlaced) => {
    const drawn = plan(colourType, depth, { interlaced });
    const { rgb, ...size } = await collectRows(makePng(drawn));
    expect(size).toEqual(SIZE);
    expect(Buffer.compare(rgb, truth(drawn))).toBe(0);
  });
});

describe('PNG', () => {
  it('reads what another encoder writes', async () => {
    const rgb = testPattern(301, 203);
    const png = await sharp(rgb, { raw: { width: 301, height: 203, channels: 3 } })
      .png({ adaptiveFiltering: true })
      .toBuffer();
    expect(Buffer.compare((await collectRows(png)).rgb, rgb)).toBe(0);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns orientation %i upright', async (orientation) => {
    const drawn = plan(2, 8, { chunks: [pngChunk('eXIf', exifBlock(orientation, false))] });
    const upright = transposed({ ...SIZE, rgb: truth(drawn) }, orientation);
    expect(await collectRows(makePng(drawn))).toEqual(upright);
  });

  it('reads interlaced pictures that are smaller than the pattern', async () => {
    for (const [width, height] of [
      [1, 1],
      [3, 2],
      [5, 1],
      [1, 9],
    ]) {
      const drawn = plan(2, 8, { width, height, interlaced: true });
      expect(Buffer.compare((await collectRows(makePng(drawn))).rgb, truth(drawn))).toBe(0);
    }
  });

  it('shows black for colours that the palette lacks', async () => {
    const drawn = plan(3, 8, { palette: PALETTE.slice(0, 30) });
    expect(Buffer.compare((await collectRows(makePng(drawn))).rgb, truth(drawn))).toBe(0);
  });

  it('accepts a file that is cut off behind its pixels', async () => {
    const png = makePng(plan(2, 8));
    expect((await failureOf(png.subarray(0, png.length - 12))).code).toBe('decoded');
    expect((await failureOf(png.subarray(0, png.length - 5))).code).toBe('decoded');
  });

  it('refuses a file cut off anywhere before', async () => {
    const png = makePng(plan(2, 8));
    for (let length = 8; length < png.length - 12; length += 13) {
      expect((await failureOf(png.subarray(0, length))).code, `${length} bytes`).toBe('corrupt_image');
    }
  });

  it.each(['IHDR', 'PLTE', 'IDAT'])('refuses a wrong checksum of %s', async (type) => {
    const png = Buffer.from(makePng(plan(3, 8)));
    const body = png.indexOf(type) + 4;
    const end = body + png.readUInt32BE(body - 8);
    png[end] ^= 1;
    expect(await failureOf(png)).toMatchObject({ code: 'corrupt_image', message: expect.stringContaining(type) });
  });

  it('refuses fewer rows than the header says, and a stream that is no stream', async () => {
    const rows = Buffer.alloc(100 * 301);
    const short = wrapPng({ width: 100, height: 101, depth: 8, colourType: 2 }, deflateSync(rows));
    expect((await failureOf(short)).code).toBe('corrupt_image');
    const noise = wrapPng({ width: 100, height: 100, depth: 8, colourType: 2 }, testPattern(50, 50));
    expect((await failureOf(noise)).code).toBe('corrupt_image');
    const badFilter = wrapPng({ width: 100, height: 100, depth: 8, colourType: 2 }, deflateSync(rows.fill(9)));
    expect((await failureOf(badFilter)).code).toBe('corrupt_image');
  });

  it('stops inflating at the last row of a bomb', async () => {
    // 300 MB behind a header of 100 x 100 pixels: inflating it all would show as memory.
    const bomb = wrapPng(
      { width: 100, height: 100, depth: 8, colourType: 2 },
      deflateSync(Buffer.alloc(300e6), { level: 1 }),
    );
    const before = process.memoryUsage().rss;
    expect((await failureOf(bomb)).code).toBe('decoded');
    expect(process.memoryUsage().rss - before).toBeLessThan(60e6);
  });

  it('counts one wide row and a whole interlaced picture as memory', async () => {
    const wide = wrapPng({ width: 40e6, height: 1, depth: 8, colourType: 6 }, new Uint8Array(2));
    expect((await failureOf(wide)).code).toBe('image_too_large');
    const interlaced = wrapPng(
      { width: 5000, height: 5000, depth: 8, colourType: 2, interlaced: true },
      new Uint8Array(2),
    );
    expect((await failureOf(interlaced)).code).toBe('image_too_large');
  });

  it("hands on the sink's own error", async () => {
    const open = () => ({
      row() {
        throw new TypeError('sink');
      },
    });
    const decode = createImageDecoder();
    await expect(decode(makePng(plan(2, 8)), { minShortSide: 1, open })).rejects.toThrow(TypeError);
  });
});
