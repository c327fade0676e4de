import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { collectRows, exifBlock, failureOf, testPattern, transposed } from './collect-rows.ts';

const SIZE = { width: 67, height: 45 };
const rgb = new Uint8Array(testPattern(SIZE.width, SIZE.height));
const pattern = sharp(rgb, { raw: { ...SIZE, channels: 3 } });
const translucent = pattern.clone().ensureAlpha(0.5);
const lossless = await pattern.clone().webp({ lossless: true }).toBuffer();
const lossy = await pattern.clone().webp({ quality: 80 }).toBuffer();

interface Animation {
  canvas: [width: number, height: number];
  x: number;
  y: number;
  frame: Uint8Array;
  frameSize?: [width: number, height: number];
}

function chunk(tag: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.write(tag, 'latin1');
  head.writeUInt32LE(body.length, 4);
  return Buffer.concat([head, body, new Uint8Array(body.length & 1)]);
}

function riff(...chunks: Uint8Array[]): Buffer {
  return chunk('RIFF', Buffer.concat([Buffer.from('WEBP'), ...chunks]));
}

function u24(...values: number[]): number[] {
  return values.flatMap((value) => [value & 255, (value >> 8) & 255, value >> 16]);
}

/** An animation of one frame, whose picture is a still file's. */
function animation({ canvas, x, y, frame, frameSize = [SIZE.width, SIZE.height] }: Animation): Buffer {
  const [width, height] = frameSize;
  return riff(
    chunk('VP8X', Uint8Array.from([2, 0, 0, 0, ...u24(canvas[0] - 1, canvas[1] - 1)])),
    chunk('ANIM', new Uint8Array(6)),
    chunk('ANMF', Uint8Array.from([...u24(x / 2, y / 2, width - 1, height - 1, 100), 0, ...frame.subarray(12)])),
  );
}

/** The pattern on a black canvas. */
function onCanvas({ canvas, x, y }: Animation): Uint8Array {
  const out = new Uint8Array(canvas[0] * canvas[1] * 3);
  for (let row = 0; row < SIZE.height; row++) {
    const line = rgb.subarray(row * SIZE.width * 3, (row + 1) * SIZE.width * 3);
    out.set(line, ((y + row) * canvas[0] + x) * 3);
  }
  return out;
}

describe('WebP', () => {
  it('gives the exact pixels of lossless files, and those of libwebp for lossy ones', async () => {
    expect(await collectRows(lossless)).toEqual({ ...SIZE, rgb });
    const truth = new Uint8Array(await sharp(lossy).raw().toBuffer());
    expect(await collectRows(lossy)).toEqual({ ...SIZE, rgb: truth });
  });

  it('drops alpha', async () => {
    const file = await translucent.clone().webp({ lossless: true, exact: true }).toBuffer();
    expect(await collectRows(file)).toEqual({ ...SIZE, rgb });
    const lossyFile = await translucent.clone().webp({ quality: 80 }).toBuffer();
    const truth = new Uint8Array(await sharp(lossyFile).removeAlpha().raw().toBuffer());
    expect(await collectRows(lossyFile)).toEqual({ ...SIZE, rgb: truth });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns orientation %i upright', async (orientation) => {
    const extended = chunk('VP8X', Uint8Array.from([8, 0, 0, 0, ...u24(SIZE.width - 1, SIZE.height - 1)]));
    const file = riff(extended, lossless.subarray(12), chunk('EXIF', exifBlock(orientation, false)));
    expect(await collectRows(file)).toEqual(transposed({ ...SIZE, rgb }, orientation));
  });

  it('puts the first frame of an animation on its canvas', async () => {
    for (const [canvas, x, y] of [
      [[67, 45], 0, 0],
      [[100, 80], 20, 30],
    ] as [[number, number], number, number][]) {
      const plan = { canvas, x, y, frame: lossless };
      const truth = { width: canvas[0], height: canvas[1], rgb: onCanvas(plan) };
      expect(await collectRows(animation(plan))).toEqual(truth);
    }
  });

  it('takes a lossy first frame with alpha', async () => {
    const still = await translucent.clone().webp({ quality: 80 }).toBuffer();
    const alpha = still.indexOf('ALPH');
    const frame = Buffer.concat([still.subarray(0, 12), still.subarray(alpha)]);
    const { rgb: shown } = await collectRows(animation({ canvas: [67, 45], x: 0, y: 0, frame }));
    expect(shown).toEqual((await collectRows(still)).rgb);
  });

  it('refuses a frame beyond the canvas, or of two sizes', async () => {
    const outside = animation({ canvas: [70, 50], x: 10, y: 0, frame: lossless });
    expect((await failureOf(outside)).code).toBe('corrupt_image');
    const twoSizes = animation({ canvas: [67, 45], x: 0, y: 0, frame: lossless, frameSize: [10, 10] });
    expect((await failureOf(twoSizes)).code).toBe('corrupt_image');
  });

  it('refuses a file cut off anywhere', async () => {
    for (const file of [lossless, lossy]) {
      for (let length = 12; length < file.length - 1; length += 37) {
        expect((await failureOf(file.subarray(0, length))).code, `${length} bytes`).toBe('corrupt_image');
      }
    }
  });

  it('refuses a damaged stream again and again, and works afterwards', async () => {
    const damaged = Buffer.from(lossless).fill(0xff, 40, 400);
    for (let i = 0; i < 30; i++) expect((await failureOf(damaged)).code).toBe('corrupt_image');
    expect(await collectRows(lossless)).toEqual({ ...SIZE, rgb });
  });

  it('counts 9 bytes a pixel for lossless pictures', async () => {
    const header = { width: 3000, height: 2000, channels: 3 as const, background: 'red' };
    const file = await sharp({ create: header }).webp({ lossless: true }).toBuffer();
    expect(await failureOf(file)).toMatchObject({
      code: 'image_too_large',
      message: expect.stringContaining('lossless WebP'),
    });
  });
});
