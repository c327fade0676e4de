import { describe, expect, it } from 'vitest';
import { checkUrl, createFetchImage } from '../../functions/fetch-image.ts';

/** The Internet, as far as these tests need it: URL → answer. */
function fetcher(pages: Record<string, () => Response | Promise<Response>>, options = {}) {
  const asked: string[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    asked.push(url);
    init.signal?.throwIfAborted();
    return (await pages[url]?.()) ?? new Response(null, { status: 404 });
  };
  return { asked, fetchImage: createFetchImage({ fetch, maxBytes: 1000, ...options }) };
}

const redirect = (location: string) => () => new Response(null, { status: 302, headers: { location } });

describe('hosts', () => {
  it.each([
    'http://example.com/a.jpg',
    'ftp://example.com/a.jpg',
    'file:///etc/passwd',
    'https://localhost/a',
    'https://sub.localhost/a',
    'https://127.0.0.1/a',
    'https://2130706433/a',
    'https://0x7f.1/a',
    'https://10.1.2.3/a',
    'https://172.16.0.1/a',
    'https://192.168.1.1/a',
    'https://169.254.169.254/latest/meta-data',
    'https://100.64.0.1/a',
    'https://0.0.0.0/a',
    'https://224.0.0.1/a',
    'https://[::1]/a',
    'https://[::ffff:127.0.0.1]/a',
    'https://[fc00::1]/a',
    'https://[fe80::1]/a',
    'https://router/a',
    'https://router./a',
    'https://db.internal/a',
    'https://printer.local./a',
    'https://user:secret@example.com/a',
    'https://',
    'https://exa mple.com/',
  ])('%s is refused', (url) => {
    expect(() => checkUrl(url)).toThrow(expect.objectContaining({ code: 'url_not_allowed' }));
  });

  it.each([
    'https://example.com/a.jpg',
    'https://8.8.8.8/a',
    'https://[2606:4700::1111]/a',
    'https://example.com:8443/a',
  ])('%s is allowed', (url) => {
    expect(checkUrl(url).href).toBe(url);
  });
});

it('gives the bytes', async () => {
  const { fetchImage } = fetcher({ 'https://a.com/x': () => new Response(Uint8Array.from([1, 2, 3])) });
  expect(Array.from(await fetchImage('https://a.com/x'))).toEqual([1, 2, 3]);
});

it('follows redirects, and checks each', async () => {
  const { asked, fetchImage } = fetcher({
    'https://a.com/x': redirect('/y'),
    'https://a.com/y': redirect('https://b.com/z'),
    'https://b.com/z': () => new Response(Uint8Array.from([7])),
    'https://a.com/inside': redirect('https://169.254.169.254/'),
    'https://a.com/down': redirect('http://b.com/z'),
    'https://a.com/loop': redirect('/loop'),
  });
  expect(Array.from(await fetchImage('https://a.com/x'))).toEqual([7]);
  await expect(fetchImage('https://a.com/inside')).rejects.toMatchObject({ code: 'url_not_allowed' });
  await expect(fetchImage('https://a.com/down')).rejects.toMatchObject({ code: 'url_not_allowed' });
  await expect(fetchImage('https://a.com/loop')).rejects.toMatchObject({ code: 'image_unreachable' });
  expect(asked).not.toContain('https://169.254.169.254/');
});

describe('more bytes than allowed', () => {
  it('by the length that it says', async () => {
    const { fetchImage } = fetcher({
      'https://a.com/x': () => new Response('x', { headers: { 'content-length': '1001' } }),
    });
    await expect(fetchImage('https://a.com/x')).rejects.toMatchObject({ code: 'image_too_large' });
  });

  it('by what comes, which then is read no further', async () => {
    let chunks = 0;
    const endless = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            chunks++;
            controller.enqueue(new Uint8Array(400));
          },
        }),
      );
    const { fetchImage } = fetcher({ 'https://a.com/x': endless });
    await expect(fetchImage('https://a.com/x')).rejects.toMatchObject({ code: 'image_too_large' });
    expect(chunks).toBeLessThan(6);
  });
});

it('an answer that is none', async () => {
  const { fetchImage } = fetcher({ 'https://a.com/500': () => new Response('no', { status: 500 }) });
  await expect(fetchImage('https://a.com/500')).rejects.toThrow('a.com answered 500');
  await expect(fetchImage('https://a.com/none')).rejects.toThrow('a.com answered 404');
});

it('a host that cannot be reached, and one that takes too long', async () => {
  const pages = {
    'https://a.com/broken': () => Promise.reject(new TypeError('connection refused')),
    'https://a.com/slow': () => new Promise<Response>(() => {}),
  };
  const fetch = (url: string, { signal }: RequestInit) =>
    new Promise<Response>((resolve, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason));
      pages[url as keyof typeof pages]().then(resolve, reject);
    });
  const fetchImage = createFetchImage({ fetch, maxBytes: 1000, timeoutMs: 50 });
  await expect(fetchImage('https://a.com/broken')).rejects.toThrow('a.com could not be reached');
  await expect(fetchImage('https://a.com/slow')).rejects.toThrow('a.com did not answer within 0.05 seconds');
});
