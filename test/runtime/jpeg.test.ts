import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { collectRows, exifBlock, failureOf, testPattern, transposed } from './collect-rows.ts';

const photo = await readFile('samples/coffee.png');

interface Encoding {
  width?: number;
  progressive?: boolean;
  chromaSubsampling?: string;
  grey?: boolean;
}

/** A photo as JPEG, and the pixels that another build of libjpeg-turbo (sharp's) gives for it. */
async function encode({ width = 301, progressive = false, chromaSubsampling = '4:2:0', grey = false }: Encoding = {}) {
  const picture = sharp(photo).resize(width).removeAlpha();
  const coloured = grey ? picture.toColourspace('b-w') : picture;
  const jpeg = await coloured.jpeg({ quality: 85, progressive, chromaSubsampling }).toBuffer();
  const { data, info } = await sharp(jpeg).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  return { jpeg, width: info.width, height: info.height, rgb: new Uint8Array(data) };
}

/** Puts a segment behind the start-of-image marker. */
function withSegment(jpeg: Uint8Array, marker: number, body: Uint8Array): Uint8Array {
  const length = body.length + 2;
  return Buffer.concat([
    jpeg.subarray(0, 2),
    Uint8Array.of(0xff, marker, length >> 8, length & 255),
    body,
    jpeg.subarray(2),
  ]);
}

function withOrientation(jpeg: Uint8Array, orientation: number): Uint8Array {
  return withSegment(jpeg, 0xe1, Buffer.concat([Buffer.from('Exif\0\0'), exifBlock(orientation, true)]));
}

describe('JPEG', () => {
  it.each([
    { progressive: false, chromaSubsampling: '4:2:0' },
    { progressive: false, chromaSubsampling: '4:4:4' },
    { progressive: true, chromaSubsampling: '4:2:0' },
    { progressive: true, chromaSubsampling: '4:4:4' },
    { grey: true },
    { grey: true, progressive: true },
  ])('gives the exact pixels of %o', async (encoding) => {
    const { jpeg, ...truth } = await encode(encoding);
    const { rgb, ...size } = await collectRows(jpeg);
    expect(size).toEqual({ width: truth.width, height: truth.height });
    expect(Buffer.compare(rgb, truth.rgb)).toBe(0);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns orientation %i upright', async (orientation) => {
    const { jpeg, ...stored } = await encode({ width: 67 });
    expect(await collectRows(withOrientation(jpeg, orientation))).toEqual(transposed(stored, orientation));
  });

  it('ignores an orientation that is odd, and the one of a second EXIF segment', async () => {
    const { jpeg, ...stored } = await encode({ width: 67 });
    expect(await collectRows(withOrientation(jpeg, 9))).toEqual(stored);
    expect(await collectRows(withOrientation(withOrientation(jpeg, 6), 1))).toEqual(stored);
  });

  it('reduces by the most that leaves the shorter side at least the request', async () => {
    const { jpeg } = await encode({ width: 801 }); // 801 x 534
    const sizes: [minShortSide: number, width: number, height: number][] = [
      [535, 801, 534],
      [268, 801, 534],
      [267, 401, 267],
      [135, 401, 267],
      [134, 201, 134],
      [68, 201, 134],
      [67, 101, 67],
      [1, 101, 67],
    ];
    for (const [minShortSide, width, height] of sizes) {
      expect(await collectRows(jpeg, { minShortSide }), `${minShortSide}`).toMatchObject({ width, height });
    }
  });

  it('is close to the full picture when reduced', async () => {
    const { jpeg, ...full } = await encode({ width: 600 });
    const half = await collectRows(jpeg, { minShortSide: 200 });
    let difference = 0;
    for (let y = 0, i = 0; y < half.height; y++) {
      for (let x = 0; x < half.width * 3; x++, i++) {
        const at = y * 2 * full.width * 3 + Math.floor(x / 3) * 6 + (x % 3);
        const { rgb, width } = full;
        const mean = (rgb[at] + rgb[at + 3] + rgb[at + width * 3] + rgb[at + width * 3 + 3]) / 4;
        difference += Math.abs(mean - half.rgb[i]);
      }
    }
    expect(difference / half.rgb.length).toBeLessThan(1);
  });

  // SHA-256 of what Pillow 13.0 gives: np.asarray(Image.open(file).convert("RGB")).tobytes()
  it.each([
    ['jpeg-cmyk-progressive.jpg', 'f81c21707c72f1275764f7e4870bfc107fb0db73f1a93fa8db5dc196ba5f0003'],
    ['jpeg-cmyk-without-adobe.jpg', '692650c8c24b44dfb5d3d9417a0b3a9150d9493884da52ebadac2e621c161610'],
    ['jpeg-cmyk.jpg', '692650c8c24b44dfb5d3d9417a0b3a9150d9493884da52ebadac2e621c161610'],
    ['jpeg-restart.jpg', '31001b5e059fadcd52c0e001233dec7a1e754706fc9e283efbcf666feb180244'],
    ['jpeg-rgb.jpg', '6995f30ef0c23450a1ddf9baebb48dffb2f9dbe21df8ae6e924c05771aaa70cb'],
    ['jpeg-ycck.jpg', '2ab9f334b907c9efe065fa4ad0d0e13575c434b9dd28a06d75ed2a5a2fe39443'],
  ])('gives the pixels of PIL for %s', async (name, sha256) => {
    const { rgb } = await collectRows(await readFile(`test/fixtures/images/${name}`));
    expect(createHash('sha256').update(rgb).digest('hex')).toBe(sha256);
  });

  it('accepts bytes behind the end, and stray bytes between segments', async () => {
    const { jpeg, ...stored } = await encode({ width: 67 });
    expect(await collectRows(Buffer.concat([jpeg, testPattern(9, 9)]))).toEqual(stored);
    const stray = Buffer.concat([jpeg.subarray(0, -2), Uint8Array.of(1, 2, 3), jpeg.subarray(-2)]);
    expect(await collectRows(stray)).toEqual(stored);
  });

  it.each([false, true])('refuses a file cut off anywhere (progressive: %s)', async (progressive) => {
    const { jpeg } = await encode({ width: 67, progressive });
    for (let length = 3; length < jpeg.length; length += 17) {
      expect((await failureOf(jpeg.subarray(0, length))).code, `${length} bytes`).toBe('corrupt_image');
    }
  });

  it('refuses scan data that end before the picture, though the end marker is there', async () => {
    const { jpeg } = await encode();
    const cut = Buffer.concat([jpeg.subarray(0, jpeg.length >> 1), Uint8Array.of(0xff, 0xd9)]);
    expect(await failureOf(cut)).toMatchObject({
      code: 'corrupt_image',
      message: expect.stringContaining('ends early'),
    });
  });

  it('refuses what it cannot read as such: arithmetic, lossless, 12 bits', async () => {
    const jpeg = Buffer.from((await encode()).jpeg);
    const frame = jpeg.indexOf(Uint8Array.of(0xff, 0xc0));
    for (const marker of [0xc3, 0xc9]) {
      jpeg[frame + 1] = marker;
      expect((await failureOf(jpeg)).code).toBe('unsupported_image');
    }
    jpeg.set([0xc0], frame + 1);
    jpeg[frame + 4] = 12;
    expect((await failureOf(jpeg)).code).toBe('unsupported_image');
  });

  it('refuses a bomb of scans before decoding any', async () => {
    const { jpeg } = await encode({ progressive: true });
    const scan = jpeg.subarray(jpeg.lastIndexOf(Uint8Array.of(0xff, 0xda)), -2);
    const bomb = Buffer.concat([jpeg.subarray(0, -2), ...Array(2000).fill(scan), jpeg.subarray(-2)]);
    expect(await failureOf(bomb)).toMatchObject({ code: 'corrupt_image', message: expect.stringContaining('scans') });
  });

  it('counts the coefficients of progressive pictures as memory', async () => {
    const header = { width: 6000, height: 4000, channels: 3 as const, background: 'red' };
    const [baseline, progressive] = await Promise.all(
      [false, true].map((progressive) => sharp({ create: header }).jpeg({ progressive }).toBuffer()),
    );
    expect((await failureOf(baseline, { minShortSide: 256 })).code).toBe('decoded');
    const refused = await failureOf(progressive, { minShortSide: 256 });
    expect(refused).toMatchObject({ code: 'image_too_large', message: expect.stringContaining('progressive JPEG') });
  });

  it('survives damage that libjpeg gives up on, again and again', async () => {
    const { jpeg, ...stored } = await encode({ width: 67, progressive: true });
    const damaged = Buffer.from(jpeg);
    const scan = damaged.lastIndexOf(Uint8Array.of(0xff, 0xda));
    damaged[scan + 5 + damaged[scan + 4] * 2] = 77; // spectral selection from 77 of 64
    for (let i = 0; i < 40; i++) {
      expect((await failureOf(damaged)).code).toBe('corrupt_image');
      expect(await collectRows(jpeg)).toEqual(stored);
    }
  });

  it("hands on the sink's own error, and works afterwards", async () => {
    const { jpeg, ...stored } = await encode({ width: 67 });
    const open = () => {
      throw new TypeError('sink');
    };
    await expect(createImageDecoder()(jpeg, { minShortSide: 1, open })).rejects.toThrow(TypeError);
    expect(await collectRows(jpeg)).toEqual(stored);
  });
});
