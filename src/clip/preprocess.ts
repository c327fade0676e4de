/**
 * From a decoded picture's rows to pixel values, as the checkpoint's own preprocessing does it: resize, centre crop,
 * normalise (openai/CLIP `_transform`, in torchvision's arithmetic on a PIL image). The order differs in one thing: a
 * picture is converted to RGB before it is resized, as Hugging Face's processors do.
 */
import type { PixelValues } from './encoders.ts';
import { ClipError } from './errors.ts';
import type { DecodeRequest, Reduction } from './pixels.ts';
import { type Axis, createResizer, type Interpolation, type Resizer } from './resize.ts';

export interface PreprocessSpec {
  /** Side of the square that the image encoder sees, in pixels. */
  size: number;
  /** `shortest`: the shorter side becomes `size`, then the centre is cropped. `squash`: both sides become `size`. */
  resize: 'shortest' | 'squash';
  interpolation: Interpolation;
  /** Per channel, of values in 0 … 1. */
  mean: readonly number[];
  std: readonly number[];
}

/**
 * How many times the model's size a decoder must keep of the shorter side when it reduces a picture by itself.
 * At 4 the pixels differ by at most 4 of 255 from those of the full picture, by 0.3 on average
 * (`test/clip/preprocess.test.ts`).
 */
const DECODER_MARGIN = 4;

/** Python's `round`: halves to the even neighbour. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** A side of the rows that come in, and of the picture that they stand for. */
interface Side {
  from: number;
  full: number;
  reducedBy: number;
  mirrored: boolean;
}

/**
 * The two axes of the resize, with what the centre crop wants of them (torchvision `resize`, `center_crop`): those of the
 * picture itself, also where its decoder reduced it.
 */
export function cropGeometry(
  [width, height]: readonly [number, number],
  { size, resize }: Pick<PreprocessSpec, 'size' | 'resize'>,
  reduction: Reduction = { by: 1, width, height, mirroredX: false, mirroredY: false },
): { across: Axis; down: Axis } {
  const short = Math.min(reduction.width, reduction.height);
  const axis = ({ from, full, reducedBy, mirrored }: Side): Axis => {
    const to = resize === 'squash' || full === short ? size : Math.trunc((size * full) / short);
    const extent = full / reducedBy;
    const offset = mirrored ? from - extent : 0;
    return { from, offset, extent, to, start: roundHalfEven((to - size) / 2), length: size };
  };
  const reducedBy = reduction.by;
  return {
    across: axis({ from: width, full: reduction.width, reducedBy, mirrored: reduction.mirroredX }),
    down: axis({ from: height, full: reduction.height, reducedBy, mirrored: reduction.mirroredY }),
  };
}

export interface Preprocessor {
  /** What to ask of the decoder; its rows end up here. */
  request: DecodeRequest;
  /** The cropped picture, [size, size, 3], 0 … 255. @throws corrupt_image if rows are missing */
  pixels(): Uint8Array;
  /** @throws corrupt_image if rows are missing */
  pixelValues(): PixelValues;
}

/** Preprocesses one picture; make a new one for the next. */
export function createPreprocessor(spec: PreprocessSpec): Preprocessor {
  let resizer: Resizer | undefined;
  const pixels = () => {
    const cropped = resizer?.pixels();
    if (!cropped) throw new ClipError('corrupt_image', 'The picture ends before its last row; send the whole file.');
    return cropped;
  };
  return {
    request: {
      minShortSide: DECODER_MARGIN * spec.size,
      open(width, height, reduction) {
        const { across, down } = cropGeometry([width, height], spec, reduction);
        resizer = createResizer(across, down, spec.interpolation);
        return resizer;
      },
    },
    pixels,
    pixelValues: () => normalisePixels(pixels(), spec),
  };
}

/** (x / 255 − mean) / std in float32, step by step as PyTorch rounds it. [size, size, 3] → [3, size, size] */
export function normalisePixels(pixels: Uint8Array, { mean, std }: PreprocessSpec): PixelValues {
  const plane = pixels.length / 3;
  const values = new Float32Array(pixels.length);
  const f = Math.fround;
  for (let channel = 0; channel < 3; channel++) {
    const ofByte = Float32Array.from({ length: 256 }, (_, x) => f(f(f(x / 255) - f(mean[channel])) / f(std[channel])));
    for (let i = 0; i < plane; i++) values[channel * plane + i] = ofByte[pixels[i * 3 + channel]];
  }
  return values;
}
