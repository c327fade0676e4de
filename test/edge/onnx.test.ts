/** The same Worker where a model runs on onnxruntime-web. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cosines } from '../../src/clip/embedding.ts';
import { goldenJson, goldenTensors, maxDifference } from '../golden.ts';
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

describe('a small model of each family, against its library in float32', () => {
  const { images, texts, models } = goldenJson<{ images: string[]; texts: string[]; models: string[] }>('onnx');
  const { tensors } = goldenTensors('onnx');
  const leastCosine = (model: string) => ({ 'siglip-float16': 0.9999, 'siglip-float32': 0.99999 })[model] ?? 0.998;

  /** Each item is nearest to its own golden embedding: a cosine near 1 says nothing of a model to which all look alike. */
  async function expectGolden(model: string, kind: 'images' | 'texts', items: { item: unknown; row: number }[]) {
    const golden = tensors.get(`${model}/${kind}`)!.data as Float32Array;
    const embeddings = await embed(
      server,
      items.map(({ item }) => item),
      model,
    );
    for (const [i, { row }] of items.entries()) {
      const all = cosines(embeddings[i], golden);
      expect(all[row]).toBeGreaterThan(leastCosine(model));
      expect(all.filter((cosine) => cosine > leastCosine(model))).toHaveLength(1);
    }
  }

  it.each(models)('%s: images', async (model) => {
    // our decoder makes large JPEGs smaller as it reads them
    const exact = images.map((name, row) => ({ name, row })).filter(({ name }) => name.endsWith('.png'));
    const items = exact.map(({ name, row }) => ({ item: { image: base64(sample(name)) }, row }));
    await expectGolden(model, 'images', items);
  });

  it.each(models.filter((model) => tensors.has(`${model}/texts`)))('%s: texts, filled up', async (model) => {
    // the route takes no empty text
    const items = texts.map((item, row) => ({ item, row })).filter(({ item }) => item !== '');
    await expectGolden(model, 'texts', items);
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
