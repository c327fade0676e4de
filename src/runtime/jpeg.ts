/**
 * JPEG by libjpeg-turbo (WebAssembly of `@cwasm/jpeg-turbo`, TurboJPEG API), with the same results as PIL: baseline,
 * progressive, grey, CMYK and YCCK. Ignores colour profiles, as PIL does.
 */
import wasm from '@cwasm/jpeg-turbo/jpeg-turbo.wasm';
import { ClipError } from '../clip/errors.ts';
import type { DecodeRequest } from '../clip/pixels.ts';
import { readOrientation } from './exif.ts';
import { type JpegHeader, readJpegMarkers } from './jpeg-markers.ts';
import { corrupt, openUpright, type Picture, pushUpright, type Raster } from './picture.ts';

interface TurboJpeg {
  memory: WebAssembly.Memory;
  malloc(bytes: number): number;
  free(pointer: number): void;
  tjInitDecompress(): number;
  tjDestroy(handle: number): number;
  /** Reduces to the largest of its scales that fits into width and height. -1: it warned; what is fatal throws. */
  tjDecompress2(
    ...args: [handle: number, jpeg: number, jpegBytes: number, pixels: number, ...layout: number[], flags: number]
  ): number;
}

const TJPF_RGB = 0;
const TJPF_CMYK = 11;

/** What every channel of a pixel comes to whose coefficients are all 0. */
const MISSING = 128;

/** libjpeg's own tables, and its row buffers per pixel of width (measured: at most 1 MB and 70 bytes). */
const FIXED_BYTES = 2 ** 20;
const BYTES_PER_COLUMN = 80;

/**
 * Reads the header of a whole JPEG. Its decoder reduces by 2, 4 or 8 (a cheap part of the inverse transform) as far as
 * `minShortSide` allows. A file that is not whole is refused; other damage that libjpeg only warns of is accepted, as by PIL.
 */
export function openJpeg(bytes: Uint8Array, request: DecodeRequest): Picture {
  const header = readJpegMarkers(bytes);
  const size = reducedSize(header, request.minShortSide);
  const step = header.components === 4 ? 4 : 3;
  const output = size.width * size.height * step;
  return {
    kind: header.progressive ? 'progressive JPEG' : 'JPEG',
    width: header.width,
    height: header.height,
    memory: FIXED_BYTES + header.width * BYTES_PER_COLUMN + bytes.length + output + header.coefficientBytes,
    decode() {
      const orientation = readOrientation(header.exif);
      const sink = openUpright(size, orientation, request.open);
      withPixels(bytes, { ...size, step }, (raster) => {
        if (step === 4) cmykToRgb(raster.data);
        pushUpright(raster, orientation, sink);
      });
    },
  };
}

/** The smallest of 1/1, 1/2, 1/4 and 1/8 whose shorter side is at least `minShortSide`; sides round up, as in libjpeg. */
function reducedSize({ width, height }: JpegHeader, minShortSide: number) {
  const by = [8, 4, 2].find((n) => Math.ceil(Math.min(width, height) / n) >= minShortSide) ?? 1;
  const reducedFrom = by > 1 ? { by, width, height } : undefined;
  return { width: Math.ceil(width / by), height: Math.ceil(height / by), reducedFrom };
}

/**
 * One instance for the isolate: workerd keeps the memory of dropped ones until it collects garbage. Its memory never
 * shrinks, so it stays at the largest picture's need.
 */
let shared: TurboJpeg | undefined;

/**
 * libjpeg's longjmp is a JavaScript exception here, which unwinds no C stack: each may leave a frame of up to about 2 kB
 * on a stack of 64 kB (3,000 of the usual kind left nothing). So an instance is replaced after a few, and not after each:
 * damaged pictures in a row would fill the isolate with dropped ones.
 */
const MAX_FAULTS = 8;
let faults = 0;

/** Decodes, lends the pixels to `use`, and frees them. Synchronous throughout, so that requests cannot interleave. */
function withPixels(bytes: Uint8Array, size: Omit<Raster, 'data'>, use: (raster: Raster) => void): void {
  const turbo = shared ?? instantiate();
  shared = undefined; // comes back at the end: what throws on the way leaves allocations behind
  const length = size.width * size.height * size.step;
  const input = allocate(turbo, bytes.length);
  const output = allocate(turbo, length);
  new Uint8Array(turbo.memory.buffer, input, bytes.length).set(bytes);
  // Grey, as missing data are shown: no pixel of the picture before this one can ever be taken for one of this.
  new Uint8Array(turbo.memory.buffer, output, length).fill(MISSING);
  const outcome = decompress(turbo, { input, bytes: bytes.length, output, size });
  const pixels = new Uint8Array(turbo.memory.buffer, output, length);
  const failure = failureOf(outcome, pixels.subarray(-8 * size.step));
  if (!failure) use({ ...size, data: pixels });
  turbo.free(output);
  turbo.free(input);
  if (faults < MAX_FAULTS) shared = turbo;
  if (failure) throw failure;
}

interface Job {
  /** Pointers into the instance's memory. */
  input: number;
  output: number;
  bytes: number;
  size: Omit<Raster, 'data'>;
}

type Outcome = { warned: boolean } | { fault: unknown };

function decompress(turbo: TurboJpeg, { input, bytes, output, size }: Job): Outcome {
  const { width, height, step } = size;
  const handle = turbo.tjInitDecompress();
  const format = step === 4 ? TJPF_CMYK : TJPF_RGB;
  let outcome: Outcome;
  try {
    const result = turbo.tjDecompress2(handle, input, bytes, output, width, width * step, height, format, 0);
    outcome = { warned: result !== 0 };
  } catch (fault) {
    outcome = { fault };
    faults = fault instanceof WebAssembly.RuntimeError ? MAX_FAULTS : faults + 1;
  }
  turbo.tjDestroy(handle);
  return outcome;
}

/**
 * Where scan data end before the picture does, libjpeg warns and goes on with coefficients of 0: middle grey to the end.
 * Its other warnings (stray bytes, a wrong code) concern a part of the picture, and PIL shows those pictures.
 */
function failureOf(outcome: Outcome, lastPixels: Uint8Array): ClipError | undefined {
  if ('fault' in outcome) {
    return corrupt('The JPEG is damaged and cannot be decoded; save or export it again.', outcome.fault);
  }
  if (outcome.warned && lastPixels.every((value) => value === MISSING)) {
    return corrupt('The JPEG ends early: its last rows are missing. Send the whole file.');
  }
}

function allocate(turbo: TurboJpeg, bytes: number): number {
  const pointer = turbo.malloc(bytes);
  if (!pointer) throw new ClipError('image_too_large', `No memory for ${bytes} bytes of the JPEG; send a smaller one.`);
  return pointer;
}

function instantiate(): TurboJpeg {
  faults = 0;
  const fail = () => {
    throw new Error('libjpeg gave up');
  };
  const nothing = () => 0;
  const instance = new WebAssembly.Instance(wasm, {
    env: { setjmp: nothing, longjmp: fail },
    wasi_snapshot_preview1: {
      environ_sizes_get: nothing,
      environ_get: nothing,
      proc_exit: fail,
      fd_close: nothing,
      fd_seek: nothing,
      fd_write: nothing,
    },
  });
  return instance.exports as unknown as TurboJpeg;
}

/**
 * In place, 4 bytes a pixel: ink values, inverted as Adobe stores them and as PIL assumes always, become R, G, B and a
 * byte that nobody reads. The arithmetic is PIL's (`Convert.c`, `cmyk2rgb`): (1 - ink) scaled by (1 - black), rounded.
 */
function cmykToRgb(pixels: Uint8Array): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const white = pixels[i + 3];
    for (let channel = i; channel < i + 3; channel++) {
      const ink = (255 - pixels[channel]) * white + 128;
      pixels[channel] = white - (((ink >> 8) + ink) >> 8);
    }
  }
}
