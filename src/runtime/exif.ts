/**
 * The orientation in an EXIF block. Reads nothing else of EXIF, and knows neither XMP nor thumbnails.
 * Source: TIFF 6.0 §2 (header, image file directory) and CIPA DC-008 (tag 0x0112).
 */

const ORIENTATION = 0x0112;
const SHORT = 3;
const LONG = 4;
const PREFIX = 'Exif\0\0';

/**
 * Orientation 1 to 8 from a TIFF block, with or without the `Exif\0\0` that JPEG puts before it. 1 (upright as stored)
 * when there is none or anything is odd: a broken note about a picture is no reason to refuse it.
 */
export function readOrientation(exif: Uint8Array | undefined): number {
  if (!exif) return 1;
  const start = [...PREFIX].every((char, i) => exif[i] === char.charCodeAt(0)) ? PREFIX.length : 0;
  const block = new DataView(exif.buffer, exif.byteOffset + start, exif.byteLength - start);
  try {
    return findOrientation(block);
  } catch {
    return 1; // DataView throws a RangeError where an offset leaves the block
  }
}

function findOrientation(block: DataView): number {
  const little = block.getUint16(0) === 0x4949;
  if ((!little && block.getUint16(0) !== 0x4d4d) || block.getUint16(2, little) !== 42) return 1;
  const directory = block.getUint32(4, little);
  const entries = block.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + i * 12;
    if (block.getUint16(entry, little) !== ORIENTATION) continue;
    const type = block.getUint16(entry + 2, little);
    const value =
      type === SHORT ? block.getUint16(entry + 8, little) : type === LONG ? block.getUint32(entry + 8, little) : 1;
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}
