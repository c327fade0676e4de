/** The files of model bundles, from static assets and, where there is one, an R2 bucket. Every byte is checked. */
import { ClipError } from '../clip/errors.ts';
import type { BundleFile } from '../clip/model-manifest.ts';
import { sha256 } from './sha256.ts';

/** @param path like "tiny-64/model.json" @returns null if there is no such file */
export type ReadFile = (path: string) => Promise<ArrayBuffer | null>;

/** What of a bucket is used: R2's, or an object literal in a test. */
export interface Bucket {
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
}

/** Looks in the assets first, under /models/, then in the bucket, under models/. */
export function createReadFile(assets: Pick<Fetcher, 'fetch'>, bucket?: Bucket): ReadFile {
  return async (path) => {
    // the host is not looked at
    const response = await assets.fetch(`https://assets/models/${path}`);
    if (response.status === 200) return response.arrayBuffer();
    await response.body?.cancel();
    return (await bucket?.get(`models/${path}`))?.arrayBuffer() ?? null;
  };
}

/**
 * Reads a file of a bundle, joined from its parts.
 * @param folder the model's id
 * @throws model_unavailable if a part is missing, or its length or sha256 is not the manifest's
 */
export async function readBundleFile(
  readFile: ReadFile,
  folder: string,
  parts: readonly BundleFile[],
): Promise<Uint8Array<ArrayBuffer>> {
  if (parts.length === 1) return readPart(readFile, folder, parts[0]);
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(await readPart(readFile, folder, part), offset);
    offset += part.bytes;
  }
  return whole;
}

async function readPart(readFile: ReadFile, folder: string, part: BundleFile): Promise<Uint8Array<ArrayBuffer>> {
  const path = `${folder}/${part.path}`;
  const fail = (what: string): never => {
    throw new ClipError('model_unavailable', `The model's file ${path} ${what}; deploy the bundle again.`);
  };
  const buffer = (await readFile(path)) ?? fail('is missing');
  if (buffer.byteLength !== part.bytes) fail(`has ${buffer.byteLength} bytes, its manifest says ${part.bytes}`);
  const bytes = new Uint8Array(buffer);
  if ((await sha256(bytes)) !== part.sha256) fail('has not the sha256 of its manifest');
  return bytes;
}
