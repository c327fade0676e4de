/**
 * Bytes of a picture → upright RGB rows. Knows a format by its first bytes only, never by a name or a media type, and
 * holds the limits; how to read a format is its own file's business.
 */
import { ClipError } from '../clip/errors.ts';
import type { DecodeImage, DecodeRequest } from '../clip/pixels.ts';
import { openGif } from './gif.ts';
import { openJpeg } from './jpeg.ts';
import type { Picture } from './picture.ts';
import { openPng } from './png.ts';
import { openWebp } from './webp.ts';

export interface DecodeLimits {
  /** Width times height of the stored picture. */
  pixels: number;
  /** What a decoder may allocate for one picture, in bytes, by the estimate made from its header. */
  bytes: number;
}

/** In pixels. JPEG and GIF know no more; a PNG of one column has a cost for each of its rows. */
const LONGEST_SIDE = 65_535;

export const DEFAULT_LIMITS: DecodeLimits = { pixels: 50e6, bytes: 40 * 2 ** 20 };

/**
 * A decoder for JPEG, PNG, WebP and GIF. Header first: a picture beyond a limit is refused with `image_too_large` before
 * anything is allocated for it. Other formats, and no bytes at all, are `unsupported_image`.
 */
export function createImageDecoder(limits: Partial<DecodeLimits> = {}): DecodeImage {
  const { pixels, bytes } = { ...DEFAULT_LIMITS, ...limits };
  return async (file, request) => {
    const picture = openPicture(file, request);
    checkSize(picture, { pixels, bytes });
    await picture.decode();
  };
}

function openPicture(file: Uint8Array, request: DecodeRequest): Picture {
  const head = String.fromCharCode(...file.subarray(0, 16));
  if (head.startsWith('\xff\xd8\xff')) return openJpeg(file, request);
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return openPng(file, request);
  if (/^RIFF.{4}WEBP/s.test(head)) return openWebp(file, request);
  if (/^GIF8[79]a/.test(head)) return openGif(file, request);
  throw new ClipError('unsupported_image', describeForeign(file));
}

function checkSize(picture: Picture, limits: DecodeLimits): void {
  const { kind, width, height, memory, memoryLimit = limits.bytes } = picture;
  const pixels = width * height;
  const bytes = Math.min(memoryLimit, limits.bytes);
  if (Math.max(width, height) > LONGEST_SIDE) {
    throw new ClipError(
      'image_too_large',
      `The picture is ${width} x ${height} pixels; a side may have ${LONGEST_SIDE}. Send a smaller one.`,
    );
  }
  if (pixels > limits.pixels) {
    throw new ClipError(
      'image_too_large',
      `The picture is ${width} x ${height} pixels, ${millions(pixels)} megapixels; the limit is ${millions(limits.pixels)}. Send a smaller one.`,
    );
  }
  if (memory > bytes) {
    throw new ClipError(
      'image_too_large',
      `Decoding this ${kind} of ${width} x ${height} pixels takes about ${millions(memory)} MB of memory; the limit is ${millions(bytes)}. Send a smaller picture, or a baseline JPEG of it.`,
    );
  }
}

/** One decimal, rounded up, so that what is over a limit never reads like the limit. */
function millions(n: number): string {
  return String(Math.ceil(n / 1e5) / 10);
}

/** What people do send, by first bytes (Latin-1). Order matters: the later ones ask for less. */
const FOREIGN: [name: string, head: RegExp][] = [
  ['an AVIF picture', /^.{4}ftypavi[fs]/s],
  ['a HEIC picture', /^.{4}ftyp(hei|hev|mif1|msf1)/s],
  ['a video', /^(.{4}ftyp|.E\xdf\xa3|RIFF.{4}AVI )/s],
  ['a JPEG XL picture', /^(\xff\n|.{4}JXL )/s],
  ['a JPEG 2000 picture', /^(.{4}jP {2}|\xffO\xffQ)/s],
  ['a TIFF picture', /^(II\*|MM.\*)/s],
  ['a PDF document', /^%PDF/],
  ['an SVG drawing', /^(\xef\xbb\xbf)?\s*<(svg|\?xml.*<svg|!DOCTYPE svg)/is],
  ['an HTML page', /^(\xef\xbb\xbf)?\s*<(html|head|!DOCTYPE html)/i],
  ['JSON', /^\s*[[{]/],
  ['a BMP picture', /^BM/],
];

function describeForeign(file: Uint8Array): string {
  const want = 'send JPEG, PNG, WebP or GIF.';
  if (file.length === 0) return `The picture has 0 bytes; ${want}`;
  const head = String.fromCharCode(...file.subarray(0, 1024));
  const known = FOREIGN.find(([, pattern]) => pattern.test(head));
  if (known) return `This is ${known[0]}; ${want}`;
  const hex = [...file.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `This is no picture that can be read here (length ${file.length}, first bytes ${hex}); ${want}`;
}
