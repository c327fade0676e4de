import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { collectRows, createRandom, failureOf, testPattern } from './collect-rows.ts';

interface GifPlan {
  screen: [width: number, height: number];
  frame: [x: number, y: number, width: number, height: number];
  indices: number[];
  palette?: number[];
  localPalette?: number[];
  transparent?: number;
  interlaced?: boolean;
  /** Replaces the LZW data, sub-blocks and all. */
  data?: number[];
}

const PALETTE = [0, 0, 255, 10, 200, 30, 255, 255, 0, 9, 8, 7];

function u16(...values: number[]): number[] {
  return values.flatMap((value) => [value & 255, value >> 8]);
}

/** Codes of a fixed width are valid LZW as long as a clear code comes before the width would grow. */
function plainLzw(indices: number[]): number[] {
  const codes = indices.flatMap((index, i) => (i % 2 === 0 ? [4, index] : [index]));
  return [2, ...subBlocks(packBits([...codes, 5], 3))];
}

function packBits(codes: number[], width: number): number[] {
  const bytes: number[] = [];
  codes.forEach((code, i) => {
    for (let bit = 0; bit < width; bit++) {
      const at = i * width + bit;
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (((code >> bit) & 1) << (at & 7));
    }
  });
  return bytes;
}

function subBlocks(bytes: number[]): number[] {
  const blocks: number[] = [];
  for (let at = 0; at < bytes.length; at += 200) {
    const block = bytes.slice(at, at + 200);
    blocks.push(block.length, ...block);
  }
  return [...blocks, 0];
}

function makeGif(plan: GifPlan): Uint8Array {
  const { screen, frame, palette = PALETTE, localPalette, transparent, interlaced } = plan;
  const flags = (interlaced ? 0x40 : 0) | (localPalette ? 0x81 : 0);
  return Uint8Array.from([
    ...Buffer.from('GIF89a'),
    ...u16(...screen),
    palette.length ? 0x81 : 0,
    0,
    0,
    ...palette,
    ...(transparent === undefined ? [] : [0x21, 0xf9, 4, 1, 0, 0, transparent, 0]),
    0x2c,
    ...u16(...frame),
    flags,
    ...(localPalette ?? []),
    ...(plan.data ?? plainLzw(plan.indices)),
    0x3b,
  ]);
}

function colours(indices: number[], palette: number[]): Uint8Array {
  return Uint8Array.from(indices.flatMap((index) => palette.slice(index * 3, index * 3 + 3)));
}

const INDICES = Array.from({ length: 7 * 11 }, (_, i) => (i * 7 + (i >> 3)) % 4);

describe('GIF', () => {
  it('gives the palette colours of the pixels', async () => {
    const gif = makeGif({ screen: [7, 11], frame: [0, 0, 7, 11], indices: INDICES });
    expect(await collectRows(gif)).toEqual({ width: 7, height: 11, rgb: colours(INDICES, PALETTE) });
  });

  it('reads what another encoder writes, codes of all widths included', async () => {
    const raw = { width: 301, height: 203, channels: 3 as const };
    const gif = await sharp(testPattern(301, 203), { raw }).gif().toBuffer();
    const truth = new Uint8Array(await sharp(gif).removeAlpha().raw().toBuffer());
    expect((await collectRows(gif)).rgb).toEqual(truth);
  });

  it('puts interlaced rows in order', async () => {
    const order = [0, 8, 4, 2, 6, 10, 1, 3, 5, 7, 9];
    const stored = order.flatMap((y) => INDICES.slice(y * 7, y * 7 + 7));
    const gif = makeGif({ screen: [7, 11], frame: [0, 0, 7, 11], indices: stored, interlaced: true });
    expect((await collectRows(gif)).rgb).toEqual(colours(INDICES, PALETTE));
  });

  it('surrounds a small frame with its transparent colour, or else with the first one', async () => {
    for (const transparent of [undefined, 2]) {
      const gif = makeGif({ screen: [4, 3], frame: [1, 1, 2, 1], indices: [1, 3], transparent });
      const around = transparent ?? 0;
      const shown = Array.from({ length: 12 }, (_, i) => ({ 5: 1, 6: 3 })[i] ?? around);
      expect((await collectRows(gif)).rgb).toEqual(colours(shown, PALETTE));
    }
  });

  it('shows the colour that the palette has for a transparent pixel', async () => {
    const gif = makeGif({ screen: [2, 1], frame: [0, 0, 2, 1], indices: [1, 3], transparent: 3 });
    expect((await collectRows(gif)).rgb).toEqual(colours([1, 3], PALETTE));
  });

  it('enlarges the screen for a frame that reaches beyond it', async () => {
    const gif = makeGif({ screen: [2, 1], frame: [1, 0, 2, 2], indices: [1, 2, 3, 1] });
    const shown = colours([0, 1, 2, 0, 3, 1], PALETTE);
    expect(await collectRows(gif)).toEqual({ width: 3, height: 2, rgb: shown });
  });

  it("prefers the frame's own palette, and counts grey without any", async () => {
    const localPalette = PALETTE.toReversed();
    const own = makeGif({ screen: [7, 11], frame: [0, 0, 7, 11], indices: INDICES, localPalette });
    expect((await collectRows(own)).rgb).toEqual(colours(INDICES, localPalette));
    const grey = makeGif({ screen: [2, 1], frame: [0, 0, 2, 1], indices: [1, 3], palette: [] });
    expect((await collectRows(grey)).rgb).toEqual(Uint8Array.of(1, 1, 1, 3, 3, 3));
  });

  it('leaves the rest at the background after an early end code', async () => {
    const data = [2, ...subBlocks(packBits([4, 1, 5], 3))];
    const gif = makeGif({ screen: [2, 2], frame: [0, 0, 2, 2], indices: [], data });
    expect((await collectRows(gif)).rgb).toEqual(colours([1, 0, 0, 0], PALETTE));
  });

  it.each([
    ['data that stop', [2, ...subBlocks(packBits([4, 1], 3))]],
    ['a code that has no meaning yet', [2, ...subBlocks(packBits([4, 1, 7], 3))]],
    ['a first code that is no pixel', [2, ...subBlocks(packBits([4, 6, 1], 3))]],
    ['a code size of 12', [12, 1, 0, 0]],
    ['no code at all', [2, 0]],
  ])('refuses %s', async (_, data) => {
    const gif = makeGif({ screen: [7, 11], frame: [0, 0, 7, 11], indices: [], data });
    expect((await failureOf(gif)).code).toBe('corrupt_image');
  });

  it('does not loop on a table that points at itself, nor on clear codes', async () => {
    const random = createRandom(3);
    const codes = Array.from({ length: 40_000 }, () => Math.floor(random() * 8));
    const hostile = [codes, Array(200_000).fill(4)].map((list) => [2, ...subBlocks(packBits(list, 3))]);
    for (const data of hostile) {
      const gif = makeGif({ screen: [999, 999], frame: [0, 0, 999, 999], indices: [], data });
      expect((await failureOf(gif)).code).toBe('corrupt_image');
    }
  });

  it('refuses a file cut off before its pixels are complete', async () => {
    const gif = makeGif({ screen: [7, 11], frame: [0, 0, 7, 11], indices: INDICES });
    for (let length = 6; length < gif.length - 4; length++) {
      expect((await failureOf(gif.subarray(0, length))).code, `${length} bytes`).toBe('corrupt_image');
    }
  });
});
