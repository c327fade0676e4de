/**
 * A JPEG's markers: size, components, scans, EXIF. Walks the whole file without decoding it, because two things have to
 * be known before libjpeg sees it: whether the file is whole, and what it will cost. Source: ITU-T T.81 annex B.
 */
import { ClipError } from '../clip/errors.ts';
import { corrupt } from './picture.ts';

/** Progressive files of cameras and web tools have about 10 scans. Each one costs a pass over the whole picture. */
const MAX_SCANS = 100;

export interface JpegHeader {
  width: number;
  height: number;
  /** 1 grey, 3 colour, 4 CMYK or YCCK. */
  components: number;
  progressive: boolean;
  /** What libjpeg keeps of coefficients, in bytes: 2 per sample if the picture comes in several scans, otherwise 0. */
  coefficientBytes: number;
  /** Content of the first EXIF segment. */
  exif: Uint8Array | undefined;
}

type Frame = Omit<JpegHeader, 'exif' | 'coefficientBytes'> & { sampleBytes: number };

/**
 * Reads the markers of a whole file. Throws `corrupt_image` for a file that ends before its end-of-image marker, as PIL
 * does; whether scan data that ends too soon before a marker is tolerated is libjpeg's affair. `unsupported_image` for
 * lossless, arithmetic and hierarchical JPEG, 12 bits, and 2 components.
 */
export function readJpegMarkers(bytes: Uint8Array): JpegHeader {
  let frame: Frame | undefined;
  let exif: Uint8Array | undefined;
  let scans = 0;
  let several = false;
  for (const { marker, body } of segments(bytes)) {
    if (isFrame(marker)) frame ??= readFrame(marker, body);
    if (marker === 0xe1 && !exif && isExif(body)) exif = body;
    if (marker !== 0xda) continue;
    if (!frame) throw corrupt('The JPEG has a scan before its frame header.');
    if (++scans > MAX_SCANS) throw corrupt(`The JPEG has more than ${MAX_SCANS} scans; save it again with fewer.`);
    several ||= frame.progressive || body[0] < frame.components;
  }
  if (!frame || scans === 0) throw corrupt('The JPEG has no picture in it.');
  const { sampleBytes, ...size } = frame;
  return { ...size, exif, coefficientBytes: several ? sampleBytes * 2 : 0 };
}

/** The segments with a length, up to the end-of-image marker. Scan data is passed over: a marker cannot occur in it. */
function* segments(bytes: Uint8Array): Generator<{ marker: number; body: Uint8Array }> {
  let at = 2;
  for (;;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0 || at + 1 >= bytes.length) throw endsEarly(bytes);
    const marker = bytes[at + 1];
    if (marker === 0xd9) return;
    if (marker === 0xff) {
      at += 1; // fill byte
    } else if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2; // an escaped 0xff in scan data, or a marker without content
    } else {
      const length = (bytes[at + 2] << 8) | bytes[at + 3];
      const end = at + 2 + length;
      if (at + 4 > bytes.length || end > bytes.length) throw endsEarly(bytes);
      if (length < 2) throw corrupt(`The JPEG has a segment of length ${length} at byte ${at}.`);
      yield { marker, body: bytes.subarray(at + 4, end) };
      at = end;
    }
  }
}

function endsEarly(bytes: Uint8Array): ClipError {
  return corrupt(`The JPEG ends early, after ${bytes.length} bytes: send the whole file.`);
}

/** Start-of-frame markers are 0xc0 to 0xcf without DHT, JPG and DAC. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function isExif(body: Uint8Array): boolean {
  return String.fromCharCode(...body.subarray(0, 6)) === 'Exif\0\0';
}

function readFrame(marker: number, body: Uint8Array): Frame {
  const [precision, h1, h0, w1, w0, components] = body;
  const width = (w1 << 8) | w0;
  const height = (h1 << 8) | h0;
  if (marker > 0xc2 || precision !== 8 || ![1, 3, 4].includes(components)) {
    throw new ClipError(
      'unsupported_image',
      `This kind of JPEG (frame type ${marker - 0xc0}, ${precision} bits, ${components} components) cannot be read; save it as an ordinary 8-bit JPEG.`,
    );
  }
  if (body.length < 6 + components * 3 || !width || !height) throw corrupt(`The JPEG's size is ${width} x ${height}.`);
  const factors = Array.from({ length: components }, (_, i) => body[7 + i * 3]);
  const sampleBytes = countSamples({ width, height }, factors);
  return { width, height, components, progressive: marker === 0xc2, sampleBytes };
}

/** Samples of all components, padded to whole blocks of 8 x 8 and whole units of the sampling factors. */
function countSamples(size: { width: number; height: number }, factors: number[]): number {
  const across = factors.map((factor) => factor >> 4);
  const down = factors.map((factor) => factor & 15);
  if ([...across, ...down].some((factor) => factor < 1 || factor > 4))
    throw corrupt('The JPEG has odd sampling factors.');
  const unitsX = Math.ceil(size.width / (8 * Math.max(...across)));
  const unitsY = Math.ceil(size.height / (8 * Math.max(...down)));
  return factors.reduce((sum, _, i) => sum + unitsX * across[i] * unitsY * down[i] * 64, 0);
}
