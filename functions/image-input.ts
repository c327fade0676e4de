/** The four forms of an image (bytes, a data: URL, bare base64, an https: URL) → its bytes. The only place that knows them. */
import { ClipError } from '../src/clip/errors.ts';
import type { Measure } from '../src/clip/model.ts';

/** Gives the bytes when they are needed, so that of a batch one image at a time is in memory decoded from base64 or fetched. */
export type ImageSource = (measure: Measure) => Promise<Uint8Array>;

/** @throws url_not_allowed, image_unreachable, image_too_large */
export type FetchImage = (url: string) => Promise<Uint8Array>;

export interface ImageInput {
  image?: string;
  images?: readonly string[];
  files: readonly Uint8Array[];
}

/**
 * @param maxImages in one request
 * @throws missing_image, too_many_images, invalid_request if images came in more than one way
 */
export function imageSources(
  { image, images, files }: ImageInput,
  { fetchImage, maxImages }: { fetchImage: FetchImage; maxImages: number },
): ImageSource[] {
  const ways = [image !== undefined, images !== undefined, files.length > 0].filter(Boolean).length;
  if (ways > 1) throw new ClipError('invalid_request', 'Send image, images or a body that is the image: one of them.');
  const texts = image === undefined ? (images ?? []) : [image];
  const count = texts.length + files.length;
  if (count === 0) {
    throw new ClipError(
      'missing_image',
      'Send the image as the body, as a multipart field "image", or in JSON as "image": a data: URL, base64 or an https: URL.',
    );
  }
  if (count > maxImages) {
    throw new ClipError('too_many_images', `${count} images are too many; a request takes ${maxImages}.`);
  }
  return [...texts.map((text) => imageSource(text, fetchImage)), ...files.map((bytes) => async () => bytes)];
}

/** @param text a data: URL, bare base64 or an https: URL */
export function imageSource(text: string, fetchImage: FetchImage): ImageSource {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return (measure) => measure('fetch', () => fetchImage(text));
  return async (measure) => measure('decode', () => decodeBase64(text));
}

const DATA_URL_HEAD = /^data:[^,]{0,200},/i;

function decodeBase64(text: string): Uint8Array {
  let payload = text;
  if (/^data:/i.test(text)) {
    const head = DATA_URL_HEAD.exec(text)?.[0];
    if (!head || !/;\s*base64,$/i.test(head)) {
      throw new ClipError('invalid_base64', 'The data: URL is not like data:image/png;base64,….');
    }
    payload = text.slice(head.length);
  }
  // the URL-safe alphabet is taken too
  const alphabet = /[-_]/.test(payload) ? 'base64url' : 'base64';
  try {
    return Uint8Array.fromBase64(payload, { alphabet });
  } catch (cause) {
    const begin = JSON.stringify(text.slice(0, 24));
    if (/^[\w./\\ -]{1,200}\.(jpe?g|png|webp|gif)$/i.test(text)) {
      const detail = `The image ${begin}… is a file's name; send the file's bytes, with curl -F image=@name.`;
      throw new ClipError('invalid_base64', detail, { cause });
    }
    throw new ClipError(
      'invalid_base64',
      `The image ${begin}… is not base64, and neither a data: nor an https: URL; encode the file's bytes as base64.`,
      { cause },
    );
  }
}
