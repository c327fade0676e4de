/** Pixels to the model's square: our port of PIL's bicubic against @jsquash/resize with its nearest filter, catrom. */
import libraryResize, { initResize } from '@jsquash/resize';
// @ts-expect-error its own declaration describes the instance, not the module that workerd gives
import libraryWasm from '@jsquash/resize/lib/resize/pkg/squoosh_resize_bg.wasm';
import { cropGeometry } from '../../../src/clip/preprocess.ts';
import { createResizer } from '../../../src/clip/resize.ts';
import { type Context, sampleContest } from './context.ts';
import { type RgbaPicture, readPixels } from './read-pixels.ts';

/** Resizes and crops the held picture. @returns times, and the pixels [size, size, 3] of both */
export async function resize({ held, manifest }: Context, options: { runs: number }) {
  await initResize(libraryWasm);
  const { data, width, height } = await readPixels(held);
  const { across, down } = cropGeometry([width, height], manifest.image);
  const bytes = new Uint8Array(data.buffer);
  const ours = () => {
    const resizer = createResizer(across, down, manifest.image.interpolation);
    for (let y = 0; y < height; y++) resizer.row(bytes, y * width * 4, 4);
    return resizer.pixels()!;
  };
  const library = async () => {
    const asLibrary = { method: 'catrom', linearRGB: false, premultiply: false } as const;
    const image = { data, width, height } as Parameters<typeof libraryResize>[0];
    const whole = await libraryResize(image, { width: across.to, height: down.to, ...asLibrary });
    return crop(whole, { left: across.start, top: down.start, size: manifest.image.size });
  };
  const times = await sampleContest({ ours, library }, options);
  return { times, pixels: { ours: Array.from(ours()), library: Array.from(await library()) } };
}

/** RGBA → [size, size, 3] */
function crop({ data, width }: RgbaPicture, { left, top, size }: { left: number; top: number; size: number }) {
  const out = new Uint8Array(size * size * 3);
  for (let y = 0, to = 0; y < size; y++) {
    let from = ((top + y) * width + left) * 4;
    for (let x = 0; x < size; x++, from += 4) {
      out[to++] = data[from];
      out[to++] = data[from + 1];
      out[to++] = data[from + 2];
    }
  }
  return out;
}
