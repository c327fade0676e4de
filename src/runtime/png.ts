/**
 * PNG, read as a stream: rows go to the sink while the file is inflated, so that a picture costs a few rows of memory.
 * Only interlaced pictures and those with an EXIF orientation are held whole. Of an APNG, the default image. Gamma and
 * colour profiles are ignored, as PIL does. Source: PNG specification (third edition) §5, §11.
 */
import { crc32, createInflate } from 'node:zlib';
import type { ClipError } from '../clip/errors.ts';
import type { DecodeRequest } from '../clip/pixels.ts';
import { readOrientation } from './exif.ts';
import { corrupt, openUpright, type Picture, pushUpright } from './picture.ts';
import { createRgbRows } from './png-colours.ts';
import { createRowAssembler, type Pass, type PngHeader, rowBytes } from './png-rows.ts';

interface PngFile {
  header: PngHeader;
  /** [256, 3]; what the file does not define is black. */
  palette: Uint8Array;
  /** The compressed stream in its pieces, in order. */
  stream: Uint8Array[];
  orientation: number;
}

/** How much is inflated before the rows are handed on: with back-pressure after each, a bomb stays small. */
const INPUT_PIECE = 16 * 1024;
const OUTPUT_PIECE = 64 * 1024;
/** Inflate's window and tables, and what it has put out before the next piece of input. */
const INFLATE_BYTES = 512 * 1024;

const DEPTHS: Record<number, number[]> = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };

/** Reads all chunks and checks the checksums of the critical ones. Throws `corrupt_image`. */
export function openPng(bytes: Uint8Array, request: DecodeRequest): Picture {
  const file = readChunks(bytes);
  const { header, orientation } = file;
  const { width, height, interlaced } = header;
  const whole = interlaced || orientation !== 1;
  const rows = 2 * rowBytes(header, width) + 3 * width;
  return {
    kind: interlaced ? 'interlaced PNG' : 'PNG',
    width,
    height,
    memory: INFLATE_BYTES + rows + (whole ? width * height * 3 : 0),
    decode: () => (whole ? decodeWhole(file, request) : decodeRows(file, request)),
  };
}

async function decodeRows({ header, palette, stream }: PngFile, request: DecodeRequest): Promise<void> {
  const toRgb = createRgbRows(header, palette);
  const sink = request.open(header.width, header.height);
  const take = createRowAssembler(header, (row, pass) => {
    const { data, step } = toRgb(row, pass.width);
    sink.row(data, 0, step);
  });
  await inflate(stream, take);
}

async function decodeWhole({ header, palette, stream, orientation }: PngFile, request: DecodeRequest): Promise<void> {
  const { width, height } = header;
  const sink = openUpright({ width, height }, orientation, request.open);
  const toRgb = createRgbRows(header, palette);
  const data = new Uint8Array(width * height * 3);
  const place = (row: Uint8Array, pass: Pass, y: number) => {
    const { data: rgb, step } = toRgb(row, pass.width);
    let to = ((pass.top + y * pass.dy) * width + pass.left) * 3;
    for (let from = 0; from < pass.width * step; from += step, to += pass.dx * 3) {
      data[to] = rgb[from];
      data[to + 1] = rgb[from + 1];
      data[to + 2] = rgb[from + 2];
    }
  };
  await inflate(stream, createRowAssembler(header, place));
  pushUpright({ data, width, height, step: 3 }, orientation, sink);
}

/** A file that is cut off behind its pixels is accepted, as PIL does. */
function readChunks(bytes: Uint8Array): PngFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const palette = new Uint8Array(768);
  const stream: Uint8Array[] = [];
  let header: PngHeader | undefined;
  let exif: Uint8Array | undefined;
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    if (type === 'IEND') break;
    if (end + 4 > bytes.length) {
      if (stream.length && type !== 'IDAT') break;
      throw endsEarly(bytes);
    }
    if (!header && type !== 'IHDR') throw corrupt('The PNG does not begin with its header.');
    if (type === 'IHDR' || type === 'PLTE' || type === 'IDAT') {
      const sum = crc32(bytes.subarray(at + 4, end));
      if (sum !== view.getUint32(end)) throw corrupt(`The PNG is damaged: the checksum of its ${type} chunk is wrong.`);
    }
    const body = bytes.subarray(at + 8, end);
    if (type === 'IHDR') header ??= readHeader(body);
    if (type === 'PLTE') palette.set(body.subarray(0, palette.length));
    if (type === 'IDAT') stream.push(body);
    if (type === 'eXIf') exif ??= body;
    at = end + 4;
  }
  if (!header || stream.length === 0) throw endsEarly(bytes);
  return { header, palette, stream, orientation: readOrientation(exif) };
}

function readHeader(body: Uint8Array): PngHeader {
  if (body.length !== 13) throw corrupt(`The PNG's header has ${body.length} bytes instead of 13.`);
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colourType, compression, filter, interlace] = body.subarray(8);
  if (!width || !height) throw corrupt(`The PNG's size is ${width} x ${height}.`);
  if (!DEPTHS[colourType]?.includes(depth) || compression || filter || interlace > 1) {
    throw corrupt(`The PNG's header is damaged: colour type ${colourType} with ${depth} bits does not exist.`);
  }
  return { width, height, depth, colourType, interlaced: interlace === 1 };
}

/**
 * Inflates until `take` has enough. node:zlib and not DecompressionStream, whose writes do not wait for its output: a
 * small file could fill the memory. Throws `corrupt_image` if the stream is damaged or ends before `take` has enough,
 * and whatever `take` throws.
 */
function inflate(stream: Uint8Array[], take: (inflated: Uint8Array) => boolean): Promise<void> {
  const inflater = createInflate({ chunkSize: OUTPUT_PIECE });
  const pieces = cut(stream);
  let settled = false;
  return new Promise<void>((resolve, reject) => {
    const fail = (error: unknown) => {
      settled = true;
      reject(error);
    };
    const feed = () => {
      if (settled) return;
      const { value: piece, done } = pieces.next();
      if (done) inflater.end();
      // The callback comes once the piece is used up. An error comes by the event, too.
      else inflater.write(piece, (error) => error || feed());
    };
    inflater.on('data', (inflated: Uint8Array) => {
      if (settled) return;
      try {
        settled = take(inflated);
        if (settled) resolve();
      } catch (error) {
        fail(error);
      }
    });
    inflater.on('error', (cause) => fail(corrupt('The PNG is damaged: its pixels cannot be decompressed.', cause)));
    inflater.on('end', () => fail(corrupt('The PNG has fewer rows than its header says; save or export it again.')));
    feed();
  }).finally(() => inflater.destroy());
}

/** The stream in pieces of one size: a file may be made of millions of chunks of a byte. */
function* cut(stream: Uint8Array[]): Generator<Uint8Array> {
  let piece = new Uint8Array(INPUT_PIECE);
  let filled = 0;
  for (const part of stream) {
    for (let at = 0; at < part.length; ) {
      const taken = part.subarray(at, at + INPUT_PIECE - filled);
      piece.set(taken, filled);
      filled += taken.length;
      at += taken.length;
      if (filled < INPUT_PIECE) continue;
      yield piece;
      piece = new Uint8Array(INPUT_PIECE); // the inflater may still hold the last one
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function endsEarly(bytes: Uint8Array): ClipError {
  return corrupt(`The PNG ends early, after ${bytes.length} bytes: send the whole file.`);
}
