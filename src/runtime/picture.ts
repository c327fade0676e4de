/**
 * What a format's reader (`jpeg.ts`, `png.ts`, `webp.ts`, `gif.ts`) makes of a file's header, before anything is
 * allocated, and how a decoded raster is handed to a sink the right way up.
 */
import { ClipError } from '../clip/errors.ts';
import type { OpenSink, RowSink } from '../clip/pixels.ts';

/** A picture whose header was read and whose pixels were not. */
export interface Picture {
  /** For messages: "progressive JPEG". */
  kind: string;
  /** As stored, before orientation, in pixels. */
  width: number;
  height: number;
  /** Upper estimate of what `decode` allocates, in bytes: copies of the input, tables and pixel buffers. */
  memory: number;
  /** What its decoder can have at most, in bytes, whatever the caller allows. */
  memoryLimit?: number;
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
function uprightSize(orientation: number, { width, height }: { width: number; height: number }) {
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}

/** From which sides of the stored picture the walk begins. */
function startOf(orientation: number) {
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  return { fromRight, fromBottom };
}

/** Opens the sink for a raster that `pushUpright` will hand to it with the same orientation. */
export function openUpright(raster: Omit<Raster, 'data' | 'step'>, orientation: number, open: OpenSink): RowSink {
  const { width, height } = uprightSize(orientation, raster);
  if (!raster.reducedFrom) return open(width, height);
  const { fromRight, fromBottom } = startOf(orientation);
  const [mirroredX, mirroredY] = orientation >= 5 ? [fromBottom, fromRight] : [fromRight, fromBottom];
  const { by } = raster.reducedFrom;
  return open(width, height, { by, ...uprightSize(orientation, raster.reducedFrom), mirroredX, mirroredY });
}

/**
 * Pushes a raster's rows as PIL's `ImageOps.exif_transpose` would turn them. Nothing is moved: an upright row is a walk
 * through the stored pixels, which starts in a corner and goes along a row or a column, forwards or backwards.
 */
export function pushUpright(raster: Raster, orientation: number, sink: RowSink): void {
  const { data, width, height, step } = raster;
  const stride = width * step;
  const rows = uprightSize(orientation, raster).height;
  const { fromRight, fromBottom } = startOf(orientation);
  const corner = (fromRight ? stride - step : 0) + (fromBottom ? (height - 1) * stride : 0);
  const alongRow = fromRight ? -step : step;
  const alongColumn = fromBottom ? -stride : stride;
  const [next, down] = orientation >= 5 ? [alongColumn, alongRow] : [alongRow, alongColumn];
  for (let y = 0; y < rows; y++) sink.row(data, corner + y * down, next);
}
