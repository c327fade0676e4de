import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxDifference } from '../golden.ts';
import { describeGoldenAnswers, embed } from './golden-answers.ts';
import { base64, type Server, sample, startServer } from './server.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const chelsea = sample('chelsea.png');
const dataUrl = (name: string) => `data:image/${name.endsWith('png') ? 'png' : 'jpeg'};base64,${base64(sample(name))}`;

describe('classify', () => {
  it('a raw image with nothing else: the default label set', async () => {
    const { status, body, headers } = await server.post('/v1/classify', chelsea);
    expect(status).toBe(200);
    expect(body).toMatchObject({ model: 'tiny-64', labelSet: 'imagenet-200', scores: 'softmax' });
    expect(body.predictions).toHaveLength(10);
    expect(body.predictions[0].label).toBe('tabby cat');
    expect(headers.get('server-timing')).toMatch(
      /^(?=.*decode;dur=)(?=.*preprocess;dur=)(?=.*encode;dur=)(?=.*score;dur=)/,
    );
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('the caller’s own words', async () => {
    const { body } = await server.post('/v1/classify?labels=cat,dog,coffee', chelsea);
    expect(body.labelSet).toBeNull();
    expect(body.predictions[0]).toMatchObject({ label: 'cat', score: expect.closeTo(0.9855, 2) });
    const sum = body.predictions.reduce((total: number, { score }: { score: number }) => total + score, 0);
    expect(sum).toBeCloseTo(1, 6);
  });

  it('words that no photo taught it', async () => {
    const { body } = await server.post('/v1/classify?labels=kitten,puppy,latte', chelsea);
    expect(body.predictions[0].label).toBe('kitten');
  });

  describe('takes the image in every form, with the same answer', () => {
    const labels = ['cat', 'dog', 'coffee'];
    const form = new FormData();
    form.append('image', new Blob([chelsea]), 'holiday.txt'); // a file's name says nothing
    form.append('labels', 'cat,dog,coffee');
    const options = { 'content-type': 'application/octet-stream' };
    it.each<[string, () => Promise<{ body: unknown; status: number }>]>([
      ['a data: URL', () => server.post('/v1/classify', { image: dataUrl('chelsea.png'), labels })],
      ['bare base64', () => server.post('/v1/classify', { image: base64(chelsea), labels })],
      ['a multipart form', () => server.post('/v1/classify', form)],
      ['bytes of no type', () => server.post('/v1/classify?labels=cat&labels=dog&labels=coffee', chelsea, options)],
      [
        'JSON that curl -d sent as a form',
        () =>
          server.post('/v1/classify', JSON.stringify({ image: base64(chelsea), labels }), {
            'content-type': 'application/x-www-form-urlencoded',
          }),
      ],
      [
        'options of both query and body',
        () => server.post('/v1/classify?labels=["cat","dog","coffee"]', { image: base64(chelsea) }),
      ],
    ])('%s', async (_, request) => {
      const expected = await server.post('/v1/classify?labels=cat,dog,coffee', chelsea);
      const { status, body } = await request();
      expect(status).toBe(200);
      expect(body).toEqual(expected.body);
    });

    it('an https: URL', async () => {
      const { fetch } = globalThis;
      globalThis.fetch = async (input) => {
        const { url } = new Request(input);
        return url === 'https://photos.example.com/cat' ? new Response(chelsea) : new Response(null, { status: 404 });
      };
      try {
        const { body, headers } = await server.post('/v1/classify', {
          image: 'https://photos.example.com/cat',
          labels,
        });
        expect(body.predictions[0].label).toBe('cat');
        expect(headers.get('server-timing')).toContain('fetch;dur=');
        const missing = await server.post('/v1/classify', { image: 'https://photos.example.com/dog', labels });
        expect(missing).toMatchObject({ status: 422, body: { code: 'image_unreachable' } });
      } finally {
        globalThis.fetch = fetch;
      }
    });
  });

  it('several images, each with its own result or error', async () => {
    const images = [dataUrl('chelsea.png'), 'bm90IGFuIGltYWdl', dataUrl('coffee.png'), '%%%'];
    const { status, body } = await server.post('/v1/classify', { images, topK: 1 });
    expect(status).toBe(200);
    expect(body.results).toMatchObject([
      { predictions: [{ label: 'tabby cat' }] },
      { error: { code: 'unsupported_image', status: 415 } },
      { predictions: [{ label: 'espresso' }] },
      { error: { code: 'invalid_base64', status: 400 } },
    ]);
  });

  it('one image in `images` is still a list of results', async () => {
    const { body } = await server.post('/v1/classify', { images: [base64(chelsea)], topK: 1 });
    expect(body.results).toHaveLength(1);
  });

  it('template ensembles and labels with prompts of their own', async () => {
    const request = { image: base64(chelsea), labels: ['cat', 'dog'], scores: 'cosine' };
    const score = async (more: object) => {
      const { body } = await server.post('/v1/classify', { ...request, ...more });
      return body.predictions.find(({ label }: { label: string }) => label === 'cat').score;
    };
    const input = [{ image: base64(chelsea) }, 'a photo of a cat.', 'a drawing of the cat'];
    const { body } = await server.post('/v1/embeddings', { input });
    const [picture, photo, drawing] = body.data.map(({ embedding }: { embedding: number[] }) => embedding);
    const mean = photo.map((x: number, i: number) => x + drawing[i]);
    const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);
    const both = await score({ templates: ['a photo of a {}.', 'a drawing of the {}'] });
    expect(both).toBeCloseTo(dot(picture, mean) / Math.sqrt(dot(mean, mean)), 6);
    const own = await score({
      labels: [{ label: 'cat', prompts: ['a photo of a cat.', 'a drawing of the cat'] }, 'dog'],
    });
    expect(own).toBeCloseTo(both, 6);
  });

  it('scores of every kind, topK and minScore', async () => {
    const ask = async (query: string) =>
      (await server.post(`/v1/classify?labels=cat,dog,coffee&${query}`, chelsea)).body.predictions;
    const cosine = await ask('scores=cosine');
    const logit = await ask('scores=logit');
    expect(logit[0].score / cosine[0].score).toBeCloseTo(14.78, 2);
    expect((await ask('scores=sigmoid'))[0].score).toBeCloseTo(1 / (1 + Math.exp(-logit[0].score)), 6);
    expect(await ask('topK=2')).toHaveLength(2);
    expect(await ask('minScore=0.5')).toHaveLength(1);
  });

  it('says which prompts were longer than the context', async () => {
    const long = `cat ${'very '.repeat(120)}long`;
    const { body } = await server.post('/v1/classify', { image: base64(chelsea), labels: [long, 'dog'] });
    expect(body.truncated).toEqual([`a photo of a ${long}.`]);
    const { body: short } = await server.post('/v1/classify', { image: base64(chelsea), labels: ['cat', 'dog'] });
    expect(short).not.toHaveProperty('truncated');
  });

  it('requests at the same time do not mix', async () => {
    const ask = (name: string) => server.post('/v1/classify?topK=1&labels=cat,espresso,flower,rocket', sample(name));
    const names = ['chelsea.png', 'coffee.png', 'rocket.jpg'];
    const alone = await Promise.all(names.map(async (name) => (await ask(name)).body));
    const many = await Promise.all(Array.from({ length: 12 }, (_, i) => ask(names[i % 3])));
    for (const [i, { body }] of many.entries()) expect(body).toEqual(alone[i % 3]);
  });
});

describeGoldenAnswers(() => server, { score: 0.02, cosine: 0.999 });

describe('embeddings', () => {
  it('do not depend on what they are embedded with', async () => {
    const items = [dataUrl('coffee.png'), 'a photo of a cat.', dataUrl('chelsea.png'), 'a much longer text about dogs'];
    const together = await embed(server, items);
    for (const [i, item] of items.entries()) expect(maxDifference((await embed(server, item))[0], together[i])).toBe(0);
  });

  it('in OpenAI’s shape', async () => {
    const { body } = await server.post('/v1/embeddings', { model: 'tiny-64', input: ['a cat', 'a dog'], user: 'u1' });
    expect(body).toMatchObject({
      object: 'list',
      model: 'tiny-64',
      data: [
        { object: 'embedding', index: 0 },
        { object: 'embedding', index: 1 },
      ],
      usage: { prompt_tokens: 8, total_tokens: 8 },
    });
    expect(body.data[0].embedding).toHaveLength(256);
  });

  it('takes images by infinity’s modality and Jina’s items', async () => {
    const [first] = await embed(server, { image: base64(chelsea) });
    const { body } = await server.post('/v1/embeddings', { input: dataUrl('chelsea.png'), modality: 'image' });
    expect(maxDifference(body.data[0].embedding, first)).toBe(0);
    expect(await embed(server, [{ text: 'cat' }, { image: base64(chelsea) }])).toHaveLength(2);
  });

  it('names the texts that were cut', async () => {
    const { body } = await server.post('/v1/embeddings', { input: ['cat', 'cat '.repeat(100)] });
    expect(body.truncated).toEqual(['cat '.repeat(100)]);
  });

  it.each([
    ['a URL that may be either', { input: 'https://example.com/cat.jpg' }, 400, 'invalid_request'],
    ['token ids', { input: [1, 2, 3] }, 400, 'invalid_request'],
    ['lists of token ids', { input: [[1, 2, 3]] }, 400, 'invalid_request'],
    ['no input', {}, 400, 'invalid_request'],
    ['an empty list', { input: [] }, 400, 'invalid_request'],
    ['an empty text', { input: ['a', ''] }, 400, 'empty_text'],
    ['another number of dimensions', { input: 'a', dimensions: 8 }, 400, 'invalid_request'],
    ['a model that is not here', { input: 'a', model: 'text-embedding-3-small' }, 404, 'model_not_found'],
    ['17 images', { input: Array(17).fill({ image: 'AAAA' }) }, 400, 'too_many_images'],
    ['1,001 texts', { input: Array(1001).fill('a') }, 400, 'too_many_prompts'],
  ])('refuses %s, in the shape that OpenAI’s clients read', async (_, request, status, code) => {
    const answer = await server.post('/v1/embeddings', request);
    expect(answer).toMatchObject({ status, body: { code, error: { code, type: 'invalid_request_error' } } });
    expect(answer.body.error.message).toBe(answer.body.detail);
  });
});

describe('similarity', () => {
  const images = [base64(chelsea), base64(sample('coffee.png'))];
  const texts = ['a photo of a cat.', 'a photo of an espresso.', 'a photo of a dog.'];

  it('of images with texts', async () => {
    const { body } = await server.post('/v1/similarity', { images, texts });
    expect(body).toMatchObject({ model: 'tiny-64', rows: 'images', columns: 'texts' });
    const [cat, coffee] = body.similarity;
    expect(cat).toHaveLength(3);
    expect(cat[0]).toBeGreaterThan(cat[1]);
    expect(coffee[1]).toBeGreaterThan(coffee[0]);
  });

  it('of images, and of texts, with each other', async () => {
    const ofImages = (await server.post('/v1/similarity', { images })).body;
    expect(ofImages).toMatchObject({ rows: 'images', columns: 'images' });
    expect(ofImages.similarity[0][0]).toBeCloseTo(1, 5);
    expect(ofImages.similarity[0][1]).toBeCloseTo(ofImages.similarity[1][0], 6);
    const ofTexts = (await server.post('/v1/similarity', { texts })).body;
    expect(ofTexts).toMatchObject({ rows: 'texts', columns: 'texts' });
    expect(ofTexts.similarity).toHaveLength(3);
  });

  it('takes a multipart form', async () => {
    const form = new FormData();
    form.append('images', new Blob([chelsea]));
    form.append('images', new Blob([sample('coffee.png')]));
    form.append('texts', JSON.stringify(texts));
    expect((await server.post('/v1/similarity', form)).body.similarity).toHaveLength(2);
  });

  it('tells which image was at fault', async () => {
    const { status, body } = await server.post('/v1/similarity', { images: [images[0], 'AAAA'] });
    expect(status).toBe(415);
    expect(body.detail).toMatch(/^Image 2 of 2: /);
  });
});

describe('the other routes', () => {
  it('models, with what was measured of them', async () => {
    const { body } = await server.get('/v1/models');
    expect(body).toMatchObject({ object: 'list', data: [{ id: 'tiny-64', object: 'model', embeddingDim: 256 }] });
    expect((await server.get('/v1/models/tiny-64')).body.labelSets).toEqual(['imagenet-200', 'cifar-10']);
    expect((await server.get('/v1/models/none')).body.code).toBe('model_not_found');
  });

  it('health, openapi.json and the first page', async () => {
    expect((await server.get('/health')).body).toEqual({ status: 'ok', models: ['tiny-64'] });
    const { body } = await server.get('/openapi.json');
    expect(Object.keys(body.paths)).toContain('/v1/classify');
    expect(body.paths['/v1/classify'].post.requestBody.content['application/json'].schema.properties).toHaveProperty(
      'labels',
    );
    const query = body.paths['/v1/classify'].post.parameters.map(({ name }: { name: string }) => name);
    expect(query).toEqual(['labels', 'labelSet', 'templates', 'topK', 'scores', 'minScore', 'model']);
    const named = JSON.stringify(body).matchAll(/"#\/components\/schemas\/(\w+)"/g);
    for (const [, name] of named) expect(body.components.schemas).toHaveProperty(name);
    const page = await server.get('/');
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.body).toContain('/v1/classify');
    for (const { headers } of [page, await server.get('/health'), await server.get('/nothing')]) {
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers.get('server-timing')).toContain('total;dur=');
    }
  });

  it('no model is public', async () => {
    for (const path of ['/models/tiny-64/model.json', '/models/tiny-64/merges.bin', '/index.html', '/nothing']) {
      expect(await server.get(path)).toMatchObject({ status: 404, body: { code: 'not_found' } });
    }
  });

  it('a method that a path does not take', async () => {
    const { status, body, headers } = await server.get('/v1/classify');
    expect({ status, code: body.code, allow: headers.get('allow') }).toEqual({
      status: 405,
      code: 'method_not_allowed',
      allow: 'POST',
    });
  });
});
