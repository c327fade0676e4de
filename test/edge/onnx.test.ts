/** The same Worker where a model runs on onnxruntime-web. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxDifference } from '../golden.ts';
import { describeGoldenAnswers, embed } from './golden-answers.ts';
import { base64, type Server, sample, startServer } from './server.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('./test/edge/onnx.toml');
});
afterAll(() => server.close());

describeGoldenAnswers(() => server, { score: 0.05, cosine: 0.995 });

describe('a model on onnxruntime-web', () => {
  const picture = { image: base64(sample('chelsea.png')) };

  it('answers with its name', async () => {
    const { body } = await server.post('/v1/classify', { ...picture, labels: ['cat', 'dog'] });
    expect(body).toMatchObject({ model: 'tiny-64-onnx', predictions: [{ label: 'cat' }, { label: 'dog' }] });
  });

  it('gives embeddings that do not depend on what they are embedded with', async () => {
    const items = [picture, 'a photo of a cat.', 'a much longer text about dogs'];
    const together = await embed(server, items);
    for (const [i, item] of items.entries()) {
      expect(maxDifference((await embed(server, [item]))[0], together[i])).toBe(0);
    }
  });

  it('answers requests that come at the same time', async () => {
    const ask = () => server.post('/v1/classify', { ...picture, labels: ['cat', 'dog', 'coffee'] });
    const [first, ...others] = await Promise.all(Array.from({ length: 6 }, ask));
    expect(first.status).toBe(200);
    for (const { body } of others) expect(body).toEqual(first.body);
  });
});

it('says what to do where onnxruntime-web is left out', async () => {
  const without = await startServer('./test/edge/onnx-absent.toml');
  try {
    expect(await without.post('/v1/classify?labels=cat', sample('chelsea.png'))).toMatchObject({
      status: 500,
      body: { code: 'model_unavailable', detail: expect.stringContaining('comment out the two lines of [alias]') },
    });
    expect((await without.get('/v1/models')).status).toBe(200);
  } finally {
    await without.close();
  }
});
