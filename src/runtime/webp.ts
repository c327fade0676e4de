/**
 * WebP by libwebp (`@cwasm/webp`, its memory limited by `scripts/build-wasm.mjs`): lossy, lossless, with alpha (dropped),
 * and the first frame of animations on its canvas, as PIL gives it. Source of the layout: RFC 9649, §2 (container), §3,
 * and RFC 6386 §9.1 (sizes).
 */
import wasm from '../../build/webp.wasm';
import type { DecodeRequest } from '../clip/pixels.ts';
import { readOrientation } from './exif.ts';
import { corrupt, openUpright, type Picture, pushUpright, type Raster } from './picture.ts';

interface LibWebp {
  memory: WebAssembly.Memory;
  malloc(bytes: number): number;
  free(pointer: number): void;
  /** → pointer to [height, width, 4] bytes, to be freed; 0 if the file is broken or memory ran out. */
  WebPDecodeRGBA(file: number, fileBytes: number, width: number, height: number): number;
}

interface Chunk {
  tag: string;
  body: Uint8Array;
}

interface Size {
  width: number;
  height: number;
}

/** One picture that libwebp can decode by itself, and where it lies on the canvas. */
interface Still extends Size {
  x: number;
  y: number;
  file: Uint8Array;
  lossless: boolean;
  alpha: boolean;
}

/** Measured in libwebp's memory, beyond the 4 bytes a pixel of the output. */
const FIXED_BYTES = 2 ** 20;
const LOSSLESS_BYTES_PER_PIXEL = 5;
const ALPHA_BYTES_PER_PIXEL = 6;
/** The limit that `scripts/build-wasm.mjs` gives libwebp's memory. */
const MEMORY_LIMIT = 32 * 2 ** 20;

/** Reads the chunks and the sizes. Throws `corrupt_image` where they are cut off or contradict each other. */
export function openWebp(bytes: Uint8Array, request: DecodeRequest): Picture {
  const end = 8 + u32(bytes, 4);
  if (end > bytes.length) throw endsEarly(bytes);
  const chunks = readChunks(bytes.subarray(12, end));
  const extended = chunks[0]?.tag === 'VP8X' ? chunks[0].body : undefined;
  const still = firstStill(chunks, bytes);
  const canvas = extended ? { width: 1 + u24(extended, 4), height: 1 + u24(extended, 7) } : still;
  if (still.x + still.width > canvas.width || still.y + still.height > canvas.height) {
    throw corrupt(`The WebP's first picture does not fit on its canvas of ${canvas.width} x ${canvas.height} pixels.`);
  }
  const whole = still.width === canvas.width && still.height === canvas.height;
  const orientation = readOrientation(chunks.find(({ tag }) => tag === 'EXIF')?.body);
  return {
    kind: still.lossless ? 'lossless WebP' : 'WebP',
    width: canvas.width,
    height: canvas.height,
    memory: decoderBytes(still) + (whole ? 0 : canvas.width * canvas.height * 3),
    memoryLimit: MEMORY_LIMIT,
    decode() {
      const sink = openUpright(canvas, orientation, request.open);
      withPixels(still, (raster) => {
        pushUpright(whole ? raster : placeOnCanvas(raster, still, canvas), orientation, sink);
      });
    },
  };
}

function readChunks(bytes: Uint8Array): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = u32(bytes, at + 4);
    const end = at + 8 + length;
    if (end > bytes.length) throw endsEarly(bytes);
    chunks.push({ tag: String.fromCharCode(...bytes.subarray(at, at + 4)), body: bytes.subarray(at + 8, end) });
    at = end + (length & 1);
  }
  return chunks;
}

/** The file itself, or the first frame of an animation wrapped as a file of its own: libwebp's decoder takes only stills. */
function firstStill(chunks: Chunk[], file: Uint8Array): Still {
  const frame = chunks.find(({ tag }) => tag === 'ANMF')?.body;
  if (!frame) return { x: 0, y: 0, file, ...describeStill(chunks) };
  const inner = readChunks(frame.subarray(16));
  const still = describeStill(inner);
  const width = 1 + u24(frame, 6);
  const height = 1 + u24(frame, 9);
  if (width !== still.width || height !== still.height)
    throw corrupt("The WebP's first frame has two different sizes.");
  return { x: u24(frame, 0) * 2, y: u24(frame, 3) * 2, file: wrap(inner, still), ...still };
}

function describeStill(chunks: Chunk[]) {
  const stream = chunks.find(({ tag }) => tag === 'VP8 ' || tag === 'VP8L');
  if (!stream) throw corrupt('The WebP has no picture in it.');
  const lossless = stream.tag === 'VP8L';
  const size = lossless ? losslessSize(stream.body) : lossySize(stream.body);
  return { ...size, lossless, alpha: !lossless && chunks.some(({ tag }) => tag === 'ALPH') };
}

function losslessSize(body: Uint8Array): Size {
  const bits = u32(body, 1);
  if (body.length < 5 || body[0] !== 0x2f) throw corrupt("The WebP's lossless stream has no header.");
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
}

function lossySize(body: Uint8Array): Size {
  const width = u24(body, 6) & 0x3fff;
  const height = (u24(body, 7) >> 8) & 0x3fff;
  const keyFrame = u24(body, 3) === 0x2a019d;
  if (body.length < 10 || !keyFrame || !width || !height) throw corrupt("The WebP's stream has no key frame header.");
  return { width, height };
}

/** RIFF around a frame's own chunks; ALPH asks for a VP8X chunk before it, with its alpha flag (16). */
function wrap(chunks: Chunk[], { width, height, alpha }: Size & { alpha: boolean }): Uint8Array {
  const flags = [16, 0, 0, 0, ...u24Bytes(width - 1), ...u24Bytes(height - 1)];
  const wanted = chunks.filter(({ tag }) => tag === 'ALPH' || tag === 'VP8 ' || tag === 'VP8L');
  const parts = alpha ? [{ tag: 'VP8X', body: Uint8Array.from(flags) }, ...wanted] : wanted;
  const length = parts.reduce((sum, { body }) => sum + 8 + body.length + (body.length & 1), 12);
  const file = new Uint8Array(length);
  const view = new DataView(file.buffer);
  const putTag = (at: number, tag: string) =>
    file.set(
      [...tag].map((char) => char.charCodeAt(0)),
      at,
    );
  putTag(0, 'RIFF');
  view.setUint32(4, length - 8, true);
  putTag(8, 'WEBP');
  let at = 12;
  for (const { tag, body } of parts) {
    putTag(at, tag);
    view.setUint32(at + 4, body.length, true);
    file.set(body, at + 8);
    at += 8 + body.length + (body.length & 1);
  }
  return file;
}

function decoderBytes({ width, height, file, lossless, alpha }: Still): number {
  const perPixel = 4 + (lossless ? LOSSLESS_BYTES_PER_PIXEL : 0) + (alpha ? ALPHA_BYTES_PER_PIXEL : 0);
  return FIXED_BYTES + file.length + width * height * perPixel;
}

/** What a frame leaves free is transparent black, and black once alpha is dropped. */
function placeOnCanvas(frame: Raster, { x, y }: Still, { width, height }: Size): Raster {
  const data = new Uint8Array(width * height * 3);
  for (let row = 0; row < frame.height; row++) {
    let to = ((y + row) * width + x) * 3;
    for (let from = row * frame.width * 4; from < (row + 1) * frame.width * 4; from += 4) {
      data[to++] = frame.data[from];
      data[to++] = frame.data[from + 1];
      data[to++] = frame.data[from + 2];
    }
  }
  return { data, width, height, step: 3 };
}

/** One instance for the isolate, as in `jpeg.ts`: dropped ones keep their memory until garbage is collected. */
let shared: LibWebp | undefined;

/** Decodes, lends the pixels to `use`, and frees them. Synchronous throughout, so that requests cannot interleave. */
function withPixels({ file, width, height }: Still, use: (raster: Raster) => void): void {
  const webp = shared ?? instantiate();
  shared = undefined; // whatever throws leaves allocations behind: the next picture gets a new instance
  const input = webp.malloc(file.length + 11);
  if (!input) throw corrupt(`No memory for a WebP of ${file.length} bytes.`);
  new Uint8Array(webp.memory.buffer, input, file.length).set(file);
  const size = input + file.length + (-file.length & 3);
  const output = webp.WebPDecodeRGBA(input, file.length, size, size + 4);
  if (output) use({ data: new Uint8Array(webp.memory.buffer, output, width * height * 4), width, height, step: 4 });
  webp.free(output);
  webp.free(input);
  shared = webp;
  if (!output) throw corrupt('The WebP is damaged, or takes too much memory to decode; save or export it again.');
}

function instantiate(): LibWebp {
  const nothing = () => 0;
  const instance = new WebAssembly.Instance(wasm, {
    wasi_snapshot_preview1: { fd_seek: nothing, fd_close: nothing, fd_write: nothing },
  });
  return instance.exports as unknown as LibWebp;
}

function endsEarly(bytes: Uint8Array) {
  return corrupt(`The WebP ends early, after ${bytes.length} bytes: send the whole file.`);
}

function u24(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
}

function u32(bytes: Uint8Array, at: number): number {
  return (u24(bytes, at) | (bytes[at + 3] << 24)) >>> 0;
}

function u24Bytes(value: number): number[] {
  return [value & 255, (value >> 8) & 255, value >> 16];
}
