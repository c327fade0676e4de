/**
 * Fetches an image that a caller names: https only, public hosts only (each redirect is checked again), bounded in bytes
 * and in time. Names that resolve to private addresses cannot be seen here: on Cloudflare a Worker's fetch reaches the
 * public Internet only, and `global_fetch_strictly_public` keeps it off the own zone's origin.
 */
import ipaddr from 'ipaddr.js';
import { ClipError } from '../src/clip/errors.ts';
import type { FetchImage } from './image-input.ts';

export interface FetchImageOptions {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  maxBytes: number;
  timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const MAX_REDIRECTS = 3;
const PRIVATE_SUFFIXES = [
  'localhost',
  'local',
  'internal',
  'intranet',
  'lan',
  'home',
  'corp',
  'localdomain',
  'home.arpa',
  'onion',
  'test',
  'invalid',
];

export function createFetchImage({ fetch, maxBytes, timeoutMs = TIMEOUT_MS }: FetchImageOptions): FetchImage {
  return async (url) => {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const response = await follow(checkUrl(url), { fetch, signal });
      return await readBounded(response, maxBytes);
    } catch (error) {
      if (error instanceof ClipError) throw error;
      const why = signal.aborted ? `did not answer within ${timeoutMs / 1000} seconds` : 'could not be reached';
      throw unreachable(`${new URL(url).host} ${why}; check the URL, or send the image itself.`, error);
    }
  };
}

const unreachable = (detail: string, cause?: unknown) => new ClipError('image_unreachable', detail, { cause });

/** @throws url_not_allowed */
export function checkUrl(text: string): URL {
  const refuse = (why: string): never => {
    throw new ClipError('url_not_allowed', `${JSON.stringify(text.slice(0, 100))} ${why}.`);
  };
  if (!URL.canParse(text)) refuse('is not a URL');
  const url = new URL(text);
  if (url.protocol !== 'https:') refuse('is not an https: URL');
  if (url.username || url.password) refuse('has credentials in it; leave them out');
  if (!isPublicHost(url.hostname)) refuse('is not on a public host; send the image itself');
  return url;
}

function isPublicHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
  // process: an IPv4 address in IPv6 clothes is judged as the IPv4 address
  if (ipaddr.isValid(host)) return ipaddr.process(host).range() === 'unicast';
  if (!host.includes('.')) return false;
  return !PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
}

async function follow(
  first: URL,
  { fetch, signal }: { fetch: FetchImageOptions['fetch']; signal: AbortSignal },
): Promise<Response> {
  let url = first;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await fetch(url.href, { redirect: 'manual', signal, headers: { accept: 'image/*' } });
    const location = response.headers.get('location');
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status < 300 || response.status > 399 || !location) {
      throw unreachable(`${url.host} answered ${response.status}; check the URL.`);
    }
    if (!URL.canParse(location, url.href)) throw unreachable(`${url.host} redirects to something that is no URL.`);
    url = checkUrl(new URL(location, url.href).href);
  }
  throw unreachable(`${first.host} redirects more than ${MAX_REDIRECTS} times; give the final URL.`);
}

async function readBounded(response: Response, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new ClipError('image_too_large', `The image at the URL has more than ${maxBytes} bytes; make it smaller.`);
  if (Number(response.headers.get('content-length')) > maxBytes) {
    await response.body?.cancel();
    throw tooLarge();
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  // leaving the loop by a throw cancels the body
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}
