import { createImageDecoder } from '../../../src/runtime/decode-image.ts';

/** The DOM's ImageData, as far as the libraries look at it. */
export interface RgbaPicture {
  /** [height, width, 4] */
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

/** The whole picture, as the libraries take it. */
export async function readPixels(file: Uint8Array): Promise<RgbaPicture> {
  let picture = { data: new Uint8ClampedArray(0), width: 0, height: 0 };
  let at = 0;
  await createImageDecoder({ bytes: Number.POSITIVE_INFINITY })(file, {
    minShortSide: Number.POSITIVE_INFINITY,
    open(width, height) {
      picture = { data: new Uint8ClampedArray(width * height * 4).fill(255), width, height };
      return {
        row(data, offset, step) {
          for (let x = 0, from = offset; x < width; x++, from += step, at += 4) {
            picture.data[at] = data[from];
            picture.data[at + 1] = data[from + 1];
            picture.data[at + 2] = data[from + 2];
          }
        },
      };
    },
  });
  return picture;
}
