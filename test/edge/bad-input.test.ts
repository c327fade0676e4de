/** What is wrong with a request costs that request, and the next one works. */
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import { readBytes, readJson } from '../golden.ts';
import { base64, type Server, sample, startServer } from './server.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const coffee = sample('coffee.png');
const image = base64(coffee);

afterEach(async () => {
  const { status, body } = await server.post('/v1/classify?topK=1', coffee);
  expect({ status, label: body.predictions?.[0].label }).toEqual({ status: 200, label: 'espresso' });
});

/** 4xx problem details that say what to change. */
function expectProblem(answer: { status: number; body: Record<string, unknown> }, codes: readonly string[]) {
  const { status, body } = answer;
  expect(codes).toContain(body.code);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
  expect(body).toMatchObject({ status, type: `urn:edgeclip:problem:${body.code}` });
  expect(body.title).toBeTypeOf('string');
  expect((body.detail as string).length).toBeGreaterThan(20);
  expect(body.requestId).toBeTypeOf('string');
}

describe('images', () => {
  interface Bad {
    file: string;
    why: string;
    codes: string[];
    mayDecode: boolean;
  }
  const { cases } = readJson<{ cases: Bad[] }>('test/fixtures/bad.json');

  test.each(cases)('$file: $why', async ({ file, codes, mayDecode }) => {
    const bytes = readBytes(file.includes('/') ? file : `test/fixtures/bad/${file}`);
    // an empty body is no image at all; as base64 it is one of 0 bytes
    const answer = await server.post('/v1/classify', { image: `data:image/jpeg;base64,${base64(bytes)}` });
    if (mayDecode && answer.status === 200) return;
    expectProblem(answer, codes);
  });

  it('a body of nothing', async () => {
    expectProblem(await server.post('/v1/classify', new Uint8Array()), ['missing_image']);
  });
});

describe('requests', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => `label ${i}`);
  it.each<[string, object, string]>([
    ['no image', { labels: ['cat'] }, 'missing_image'],
    ['an empty list of images', { images: [] }, 'missing_image'],
    ['17 images', { images: Array(17).fill(image) }, 'too_many_images'],
    ['image and images', { image, images: [image] }, 'invalid_request'],
    ['an image that is a number', { image: 7 }, 'invalid_request'],
    ['wrong base64', { image: 'not base64!' }, 'invalid_base64'],
    ['base64 that breaks off', { image: `${image.slice(0, 401)}` }, 'invalid_base64'],
    ['a data: URL that is not base64', { image: 'data:image/svg+xml,%3Csvg%3E' }, 'invalid_base64'],
    ['an http: URL', { image: 'http://example.com/cat.jpg' }, 'url_not_allowed'],
    ['a file: URL', { image: 'file:///etc/passwd' }, 'url_not_allowed'],
    ['a URL of a private host', { image: 'https://127.0.0.1/cat.jpg' }, 'url_not_allowed'],
    ['0 labels', { image, labels: [] }, 'no_labels'],
    ['1,001 labels', { image, labels: many(1001) }, 'too_many_labels'],
    ['a label twice', { image, labels: ['cat', 'dog', 'cat'] }, 'duplicate_label'],
    ['an empty label', { image, labels: ['cat', ' '] }, 'empty_label'],
    ['a label that is a number', { image, labels: ['cat', 7] }, 'invalid_request'],
    ['labels that are no list', { image, labels: 'cat' }, 'invalid_request'],
    ['a label of 1,001 characters', { image, labels: ['x'.repeat(1001)] }, 'invalid_request'],
    ['a template without {}', { image, labels: ['cat'], templates: ['a photo'] }, 'invalid_template'],
    ['no templates', { image, labels: ['cat'], templates: [] }, 'invalid_template'],
    ['1,000 labels × 5 templates', { image, labels: many(1000), templates: Array(5).fill('{}') }, 'too_many_prompts'],
    ['templates without labels', { image, templates: ['a {}'] }, 'invalid_request'],
    ['labels and a set', { image, labels: ['cat'], labelSet: 'cifar-10' }, 'invalid_request'],
    ['an unknown set', { image, labelSet: 'nowhere' }, 'label_set_not_found'],
    ['a set’s name that is none', { image, labelSet: '../x' }, 'invalid_request'],
    ['an unknown model', { image, model: 'gpt-5' }, 'model_not_found'],
    ['a negative topK', { image, topK: -1 }, 'invalid_request'],
    ['a topK of 0', { image, topK: 0 }, 'invalid_request'],
    ['a topK of 1.5', { image, topK: 1.5 }, 'invalid_request'],
    ['a topK that is a string', { image, topK: '5' }, 'invalid_request'],
    ['scores of no kind', { image, scores: 'percent' }, 'invalid_request'],
    ['a field with a typing error', { image, lables: ['cat'] }, 'invalid_request'],
  ])('%s', async (_, request, code) => {
    expectProblem(await server.post('/v1/classify', request), [code]);
  });

  it.each(['topK=NaN', 'topK=-3', 'topK=', 'topK=1&topK=2', 'minScore=high', 'labels=["cat"', 'tokp=3'])(
    'the query %s',
    async (query) => {
      expectProblem(await server.post(`/v1/classify?${query}`, coffee), ['invalid_request']);
    },
  );

  it.each(['[1]', '"text"', 'null', '7', '{"image":', '', '\u0000'])('JSON that is no object: %j', async (text) => {
    expectProblem(await server.post('/v1/classify', text, { 'content-type': 'application/json' }), ['invalid_json']);
  });

  it('a form that is none', async () => {
    const headers = { 'content-type': 'multipart/form-data; boundary=x' };
    expectProblem(await server.post('/v1/classify', 'no form', headers), ['invalid_request', 'missing_image']);
  });

  it('names what is wrong and what is allowed', async () => {
    const { body } = await server.post('/v1/classify', { image, topK: 5000 });
    expect(body.detail).toContain('topK: must be a whole number from 1 to 1000');
    const { body: typo } = await server.post('/v1/classify', { image, lables: ['cat'] });
    expect(typo.detail).toContain('"lables"');
  });

  it('a body of more than 20 MB', async () => {
    expectProblem(await server.post('/v1/classify', new Uint8Array(20 * 1024 * 1024 + 1)), ['payload_too_large']);
  });

  it('such a body that does not say its length', async () => {
    const chunk = new Uint8Array(1024 * 1024);
    let sent = 0;
    const stream = new ReadableStream({
      pull(controller) {
        if (sent++ < 22) controller.enqueue(chunk);
        else controller.close();
      },
    });
    const request = { method: 'POST', body: stream, duplex: 'half' } as RequestInit;
    expect((await fetch(new URL('/v1/classify', server.url), request)).status).toBe(413);
  });

  describe('[regression] what is small to send and large to hold', () => {
    const json = (text: string) => server.post('/v1/classify', text, { 'content-type': 'application/json' });

    it('a million wrong labels', async () => {
      expectProblem(await json(`{"image":"AAAA","labels":[${'1,'.repeat(1e6)}1]}`), ['invalid_json']);
    });

    it('a million unknown fields', async () => {
      const fields = Array.from({ length: 1e6 }, (_, i) => `"f${i}":0`).join();
      expectProblem(await json(`{${fields}}`), ['invalid_json']);
    });

    it('thousands of unknown fields: few are told', async () => {
      const answer = await json(`{${Array.from({ length: 9000 }, (_, i) => `"f${i}":0`).join()}}`);
      expectProblem(answer, ['invalid_request']);
      expect((answer.body.detail as string).length).toBeLessThan(1000);
    });

    it('twenty thousand fields of a form', async () => {
      const form = new FormData();
      for (let i = 0; i < 20_000; i++) form.append('labels', 'x');
      expectProblem(await server.post('/v1/classify', form), ['invalid_request']);
    });

    it('a template that repeats its label until the prompt is very long', async () => {
      const request = { image, labels: ['a'.repeat(900)], templates: ['{} {}'] };
      expectProblem(await server.post('/v1/classify', request), ['invalid_request']);
    });

    it('commas within a label count for nothing', async () => {
      const labels = Array.from({ length: 100 }, (_, i) => `${i} ${',:[{'.repeat(200)} \\"`);
      const { status } = await server.post('/v1/classify', { image, labels, templates: ['{}'], topK: 1 });
      expect(status).toBe(200);
    });
  });

  it.each([
    [{ image, topk: 3 }, 'did you mean topK?'],
    [{ url: 'https://example.com/a.jpg' }, 'did you mean image?'],
    [{ image, candidate_labels: ['a'] }, 'did you mean labels?'],
    [{ image, labels: 'cat,dog' }, 'labels: must be an array, like ["cat", "dog"]'],
    [{ image: ['a', 'b'] }, 'several go into images'],
    [{ image, scores: 'percent' }, 'scores: must be one of softmax, sigmoid, cosine, logit'],
    [{ image: 'photos/cat.jpg' }, 'curl -F image=@name'],
  ])('tells the caller of %j what was meant', async (request, hint) => {
    expect((await server.post('/v1/classify', request)).body.detail).toContain(hint);
  });

  it('tells who sent JSON from a shell that ate the quotes', async () => {
    const { body } = await server.post('/v1/classify', '{image: x}');
    expect(body.detail).toContain('the shell changed the quotes');
  });
});

it('a client that goes away while the model is loaded does not hang the others', async () => {
  const fresh = await startServer();
  try {
    const controller = new AbortController();
    const gone = fetch(new URL('/v1/classify', fresh.url), { method: 'POST', body: coffee, signal: controller.signal });
    setTimeout(() => controller.abort(), 60);
    await expect(gone).rejects.toThrow();
    const answers = await Promise.all([1, 2, 3].map(() => fresh.post('/v1/classify?topK=1', coffee)));
    for (const { status } of answers) expect(status).toBe(200);
  } finally {
    await fresh.close();
  }
});
