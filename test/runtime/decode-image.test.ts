import { readdir, readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { type Collected, collectRows, failureOf, testPattern } from './collect-rows.ts';

interface BadCase {
  file: string;
  why: string;
  codes: string[];
  mayDecode: boolean;
}

const { cases }: { cases: BadCase[] } = JSON.parse(await readFile('test/fixtures/bad.json', 'utf8'));
const good = await readFile('samples/flower.jpg');

/** The memory of every wasm instance that is made from here on. */
const memories: WebAssembly.Memory[] = [];
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    super(module, imports);
    if (this.exports.memory) memories.push(this.exports.memory as WebAssembly.Memory);
  }
};

const wasmBytes = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);

describe('decodeImage', () => {
  it.each(cases)('refuses $file ($why) and goes on', async ({ file, codes, mayDecode }) => {
    const { code, message } = await failureOf(await readFile(`test/fixtures/bad/${file}`));
    expect(mayDecode ? [...codes, 'decoded'] : codes).toContain(code);
    if (code !== 'decoded') expect(message).toMatch(/^[A-Z].{20,250}\.$/);
    expect((await failureOf(good)).code).toBe('decoded');
  });

  it.each([
    ['an AVIF picture', '\0\0\0\x20ftypavif\0\0\0\0'],
    ['a HEIC picture', '\0\0\0\x18ftypheic\0\0\0\0'],
    ['a video', '\0\0\0\x18ftypmp42\0\0\0\0'],
    ['a JPEG XL picture', '\xff\x0a\xfa\x1f'],
    ['a TIFF picture', 'II*\0\x08\0\0\0'],
    ['a TIFF picture', 'MM\0*\0\0\0\x08'],
    ['a BMP picture', 'BM6\0\0\0'],
    ['a PDF document', '%PDF-1.7\n'],
    ['an SVG drawing', '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['an HTML page', '\n<!doctype html><title>404</title>'],
    ['JSON', '{"image": "…"}'],
  ])('names %s', async (name, head) => {
    expect(await failureOf(Buffer.from(head, 'latin1'))).toMatchObject({
      code: 'unsupported_image',
      message: `This is ${name}; send JPEG, PNG, WebP or GIF.`,
    });
  });

  it('says what it saw of anything else', async () => {
    expect((await failureOf(new Uint8Array(0))).message).toContain('0 bytes');
    expect((await failureOf(testPattern(8, 8))).code).toBe('unsupported_image');
    expect((await failureOf(Buffer.from('hello'))).message).toContain('68 65 6c 6c');
  });

  it('goes by the bytes of each format', async () => {
    const raw = { width: 20, height: 10, channels: 3 as const };
    for (const format of ['jpeg', 'png', 'webp', 'gif'] as const) {
      const file = await sharp(testPattern(20, 10), { raw }).toFormat(format).toBuffer();
      // A view into a bigger buffer, as a multipart body gives it.
      const padded = Buffer.concat([new Uint8Array(5), file, new Uint8Array(5)]).subarray(5, -5);
      expect(await collectRows(padded)).toMatchObject({ width: 20, height: 10 });
    }
  });

  it('refuses more than the limits before opening the sink, with sizes and limits in the message', async () => {
    const file = await sharp({ create: { width: 300, height: 200, channels: 3, background: 'red' } })
      .jpeg()
      .toBuffer();
    const fewPixels = createImageDecoder({ pixels: 59_999 });
    const pixels = await failureOf(file, { decode: fewPixels });
    expect(pixels).toMatchObject({ code: 'image_too_large', message: expect.stringContaining('300 x 200') });
    const littleMemory = createImageDecoder({ bytes: 1e6 });
    const memory = await failureOf(file, { decode: littleMemory });
    expect(memory).toMatchObject({
      code: 'image_too_large',
      message: expect.stringMatching(/MB of memory; the limit is 1\./),
    });
    expect((await failureOf(file, { decode: createImageDecoder({ pixels: 60_000 }) })).code).toBe('decoded');
  });

  it('keeps pictures apart that are decoded at the same time', async () => {
    const names = (await readdir('test/fixtures/images')).filter((name) => !name.includes('large'));
    const files = await Promise.all(names.map((name) => readFile(`test/fixtures/images/${name}`)));
    const alone: Collected[] = [];
    for (const file of files) alone.push(await collectRows(file));
    const together = await Promise.all(files.map((file) => collectRows(file)));
    together.forEach(({ rgb }, i) => {
      expect(Buffer.compare(rgb, alone[i].rgb), names[i]).toBe(0);
    });
  });

  it('does not grow over hundreds of pictures, damaged ones among them', async () => {
    const raw = { width: 600, height: 400, channels: 3 as const };
    const picture = sharp(testPattern(600, 400), { raw });
    const files = await Promise.all([
      picture.clone().jpeg().toBuffer(),
      picture.clone().jpeg({ progressive: true }).toBuffer(),
      picture.clone().toColourspace('cmyk').jpeg().toBuffer(),
      picture.clone().webp().toBuffer(),
      picture.clone().webp({ lossless: true }).toBuffer(),
    ]);
    const cut = files.map((file) => Buffer.concat([file.subarray(0, file.length >> 1), Uint8Array.of(0xff, 0xd9)]));
    const round = async () => {
      for (const file of [...files, ...cut]) await failureOf(file);
    };
    await round();
    const [bytes, instances] = [wasmBytes(), memories.length];
    for (let i = 0; i < 30; i++) await round();
    expect(wasmBytes()).toBe(bytes);
    expect(memories.length).toBe(instances);
  });
});
