import { describe, expect, it, test } from 'vitest';
import { createPreprocessor, cropGeometry, normalisePixels, type PreprocessSpec } from '../../src/clip/preprocess.ts';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { goldenJson, goldenTensors, maxDifference, readBytes } from '../golden.ts';

interface Geometry {
  size: number;
  resize: PreprocessSpec['resize'];
  interpolation: PreprocessSpec['interpolation'];
}

interface PixelCase extends Geometry {
  image: string;
  tensor: string;
  exact: boolean;
}

interface ValuesCase {
  image: string;
  tensor: string;
  size: number;
  mean: number[];
  std: number[];
}

const identity = { mean: [0, 0, 0], std: [1, 1, 1] };
const decode = createImageDecoder({ pixels: 50e6, bytes: 40 * 1024 * 1024 });
const { cases, pixelValues } = goldenJson<{ cases: PixelCase[]; pixelValues: ValuesCase[] }>('pixels');
const truth = goldenTensors('pixels').tensors;

function meanDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length;
}

async function preprocess(image: string, spec: PreprocessSpec) {
  const preprocessor = createPreprocessor(spec);
  await decode(readBytes(image), preprocessor.request);
  return preprocessor;
}

describe('the pixels of PIL', () => {
  test.each(cases)('$image at $size, $resize, $interpolation', async ({ image, tensor, exact, ...geometry }) => {
    const preprocessor = await preprocess(image, { ...geometry, ...identity });
    const pixels = preprocessor.pixels();
    const expected = truth.get(tensor)!.data;
    // a decoder that reduces the picture itself comes close: within 4 of 255, and 0.3 on average
    expect(maxDifference(pixels, expected)).toBeLessThanOrEqual(exact ? 0 : 4);
    expect(meanDifference(pixels, expected)).toBeLessThanOrEqual(exact ? 0 : 0.3);
  });

  it('are compared for every kind of picture', () => {
    expect(cases.filter(({ exact }) => exact).length).toBeGreaterThan(100);
    expect(cases.some(({ exact }) => !exact)).toBe(true);
  });
});

test.each(pixelValues)('the pixel values of $image', ({ image, tensor, ...spec }) => {
  const { tensor: crop } = cases.find((c) => c.image === image && c.size === spec.size && c.resize === 'shortest')!;
  const values = normalisePixels(truth.get(crop)!.data as Uint8Array, {
    ...spec,
    resize: 'shortest',
    interpolation: 'bicubic',
  });
  expect(maxDifference(values, truth.get(tensor)!.data)).toBeLessThan(1e-6);
});

describe('the geometries of PIL, on noise', () => {
  const { cases: noise } = goldenJson<{ cases: (Geometry & { input: string; output: string })[] }>('resize');
  const { tensors } = goldenTensors('resize');

  test.each(noise)('$input → $output', ({ input, output, ...geometry }) => {
    const { shape, data } = tensors.get(input)!;
    const [height, width] = shape;
    const preprocessor = createPreprocessor({ ...geometry, ...identity });
    const sink = preprocessor.request.open(width, height);
    for (let y = 0; y < height; y++) sink.row(data as Uint8Array, y * width * 3, 3);
    expect(maxDifference(preprocessor.pixels(), tensors.get(output)!.data)).toBe(0);
  });
});

it('reads rows of any step, backwards too', () => {
  const spec = { size: 2, resize: 'shortest', interpolation: 'bicubic', ...identity } as const;
  const forwards = createPreprocessor(spec);
  const backwards = createPreprocessor(spec);
  const row = Uint8Array.from({ length: 12 }, (_, i) => i * 20);
  const reversed = Uint8Array.from([...row.slice(9), ...row.slice(6, 9), ...row.slice(3, 6), ...row.slice(0, 3)]);
  const a = forwards.request.open(4, 3);
  const b = backwards.request.open(4, 3);
  for (let y = 0; y < 3; y++) {
    a.row(row, 0, 3);
    b.row(reversed, 9, -3);
  }
  expect(backwards.pixels()).toEqual(forwards.pixels());
});

it('says that a picture is broken when rows are missing', () => {
  const preprocessor = createPreprocessor({ size: 2, resize: 'squash', interpolation: 'bilinear', ...identity });
  expect(() => preprocessor.pixels()).toThrow(/before its last row/);
  preprocessor.request.open(4, 2).row(new Uint8Array(12), 0, 3);
  expect(() => preprocessor.pixelValues()).toThrow(/before its last row/);
});

it('rounds the crop’s offset half to even, as Python does', () => {
  const spec = { size: 10, resize: 'shortest', interpolation: 'bicubic', ...identity } as const;
  expect(cropGeometry([13, 10], spec).across.start).toBe(2); // 1.5
  expect(cropGeometry([11, 10], spec).across.start).toBe(0); // 0.5
});

it('normalises per channel into planes', () => {
  const spec = { size: 1, resize: 'squash', interpolation: 'bilinear', mean: [0, 0.5, 1], std: [1, 0.5, 2] } as const;
  const values = normalisePixels(Uint8Array.from([255, 255, 0]), spec);
  expect(Array.from(values)).toEqual([1, 1, -0.5]);
});

it('[regression] a picture too elongated to be squashed in little memory is refused before anything is allocated', () => {
  const preprocessor = createPreprocessor({ size: 224, resize: 'squash', interpolation: 'bicubic', ...identity });
  expect(() => preprocessor.request.open(1, 65_000)).toThrow(expect.objectContaining({ code: 'image_too_large' }));
  expect(() => preprocessor.request.open(65_000, 1)).not.toThrow();
});
