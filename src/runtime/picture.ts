/**
 * What a format's reader (`jpeg.ts`, `png.ts`, `webp.ts`, `gif.ts`) makes of a file's header, before anything is
 * allocated, and how a decoded raster is handed to a sink the right way up.
 */
import { ClipError } from '../clip/errors.ts';
import type { OpenSink } from '../clip/pixels.ts';

/** A picture whose header was read and whose pixels were not. */
export interface Picture {
  /** For messages: "progressive JPEG". */
  kind: string;
  /** As stored, before orientation, in pixels. */
  width: number;
  height: number;
  /** Upper estimate of what `decode` allocates, in bytes: copies of the input, tables and pixel buffers. */
  memory: number;
  /** Pushes the upright rows into the request's sink. Throws `corrupt_image`, and `image_too_large` if memory runs out. */
  decode(): void | Promise<void>;
}

/** Decoded pixels: those of row y start at `y * width * step`; a pixel is 8-bit R, G, B and `step - 3` bytes that nobody reads. */
export interface Raster {
  data: Uint8Array;
  width: number;
  height: number;
  step: 3 | 4;
  /** The stored picture's own size, where the decoder reduced it. */
  reducedFrom?: { by: number; width: number; height: number };
}

export function corrupt(message: string, cause?: unknown): ClipError {
  return new ClipError('corrupt_image', message, { cause });
}

/** Size of the picture after the EXIF orientation (1-8) has been applied: 5 to 8 swap the sides. */
export function uprightSize(orientation: number, { width, height }: { width: number; height: number }) {
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}

/**
 * Pushes a raster's rows as PIL's `ImageOps.exif_transpose` would turn them. Nothing is moved: an upright row is a walk
 * through the stored pixels, which starts in a corner and goes along a row or a column, forwards or backwards.
 */
export function pushUpright(raster: Raster, orientation: number, open: OpenSink): void {
  const { data, width, height, step, reducedFrom } = raster;
  const stride = width * step;
  const upright = uprightSize(orientation, raster);
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const [mirroredX, mirroredY] = orientation >= 5 ? [fromBottom, fromRight] : [fromRight, fromBottom];
  const reduction = reducedFrom && {
    by: reducedFrom.by,
    ...uprightSize(orientation, reducedFrom),
    mirroredX,
    mirroredY,
  };
  const sink = open(upright.width, upright.height, reduction);
  const corner = (fromRight ? stride - step : 0) + (fromBottom ? (height - 1) * stride : 0);
  const alongRow = fromRight ? -step : step;
  const alongColumn = fromBottom ? -stride : stride;
  const [next, down] = orientation >= 5 ? [alongColumn, alongRow] : [alongRow, alongColumn];
  for (let y = 0; y < upright.height; y++) sink.row(data, corner + y * down, next);
}
