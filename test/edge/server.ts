/** The real Worker in workerd, with its KV, assets and wasm, for the tests of a file. */
import { createTestHarness } from 'wrangler';
import { readBytes } from '../golden.ts';

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test says by its expectations what it takes the body for
  body: any;
}

export interface Server {
  url: URL;
  /** LABEL_SETS and the other bindings, as the Worker has them */
  env(): Promise<{ LABEL_SETS: KVNamespace; MODEL_BUCKET?: R2Bucket }>;
  get(path: string): Promise<Answer>;
  send(method: string, path: string, body?: BodyInit | object, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body: BodyInit | object, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

const isBody = (body: unknown): body is BodyInit =>
  typeof body === 'string' || body instanceof Uint8Array || body instanceof FormData || body instanceof ReadableStream;

/** @param config path of a wrangler.toml from the repository's root */
export async function startServer(config = './wrangler.toml'): Promise<Server> {
  const harness = createTestHarness({ workers: [{ configPath: config }] });
  const { url } = await harness.listen();
  // Node's fetch, kept from tests that replace the global one to play the Internet
  const { fetch } = globalThis;

  const send: Server['send'] = async (method, path, body, headers = {}) => {
    const json = body !== undefined && !isBody(body);
    const response = await fetch(new URL(path, url), {
      method,
      body: json ? JSON.stringify(body) : (body as BodyInit | undefined),
      headers: json ? { 'content-type': 'application/json', ...headers } : headers,
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };

  return {
    url,
    env: async () => (await harness.getWorker().getEnv()) as Awaited<ReturnType<Server['env']>>,
    get: (path) => send('GET', path),
    post: (path, body, headers) => send('POST', path, body, headers),
    send,
    close: () => harness.close(),
  };
}

export const sample = (name: string): Uint8Array<ArrayBuffer> => readBytes(`samples/${name}`);
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
