import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cosines } from '../../src/clip/embedding.ts';
import { decodeLabelSet, encodeLabelSet } from '../../src/clip/label-set.ts';
import { readBytes, readJson } from '../golden.ts';
import { type Server, sample, startServer } from './server.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const bundle = 'public/models/tiny-64';
const { revision, embeddingDim, labelSets } = readJson<{
  revision: string;
  embeddingDim: number;
  labelSets: { name: string; file: { path: string } }[];
}>(`${bundle}/model.json`);
const cifarFile = readBytes(`${bundle}/${labelSets.find(({ name }) => name === 'cifar-10')!.file.path}`);
const cifar = decodeLabelSet(cifarFile, { revision, embeddingDim });
const chelsea = sample('chelsea.png');

const keys = async () => {
  const { keys: all } = await (await server.env()).LABEL_SETS.list();
  return all.map(({ name }) => name);
};

describe('a set of the caller’s labels', () => {
  it('is made, described, listed, used, replaced and deleted', async () => {
    const made = await server.send('PUT', '/v1/label-sets/pets', {
      labels: ['cat', 'dog'],
      templates: ['a {}.', 'the {}'],
    });
    expect(made).toMatchObject({
      status: 200,
      body: { name: 'pets', model: 'tiny-64', count: 2, templates: ['a {}.', 'the {}'] },
    });
    expect(await server.get('/v1/label-sets/pets')).toMatchObject({ status: 200, body: made.body });
    const { body: list } = await server.get('/v1/label-sets');
    expect(list.labelSets).toContainEqual({ name: 'pets', version: made.body.version, builtIn: false, count: 2 });
    expect(list.labelSets.map(({ name }: { name: string }) => name)).toEqual(['imagenet-200', 'cifar-10', 'pets']);

    const { body: used } = await server.post('/v1/classify?labelSet=pets', chelsea);
    expect(used).toMatchObject({ labelSet: 'pets', predictions: [{ label: 'cat' }, { label: 'dog' }] });

    await server.send('PUT', '/v1/label-sets/pets', { labels: ['tabby cat', 'espresso'] });
    const { body: replaced } = await server.post('/v1/classify?labelSet=pets', chelsea);
    expect(replaced.predictions[0].label).toBe('tabby cat');

    expect((await server.send('DELETE', '/v1/label-sets/pets')).status).toBe(204);
    expect((await server.get('/v1/label-sets/pets')).body.code).toBe('label_set_not_found');
    expect((await server.post('/v1/classify?labelSet=pets', chelsea)).body.code).toBe('label_set_not_found');
    expect(await keys()).toEqual([]);
  });

  it('scores like the same labels sent along', async () => {
    const labels = ['cat', 'dog', { label: 'drink', prompts: ['a cup of coffee', 'an espresso'] }];
    await server.send('PUT', '/v1/label-sets/things', { labels });
    const stored = await server.post('/v1/classify?labelSet=things', chelsea);
    const adHoc = await server.post(`/v1/classify?labels=${encodeURIComponent(JSON.stringify(labels))}`, chelsea);
    expect(stored.body.predictions).toEqual(adHoc.body.predictions);
  });

  it('lets a replaced version go after a while, and not at once: a reader elsewhere may still be sent to it', async () => {
    for (const label of ['one', 'two', 'one']) {
      await server.send('PUT', '/v1/label-sets/versions', { labels: [label] });
    }
    const { body } = await server.get('/v1/label-sets/versions');
    const { keys: all } = await (await server.env()).LABEL_SETS.list({ prefix: `labels/${revision}/versions/` });
    const expiring = new Map(all.map(({ name, expiration }) => [name.split('/').at(-1), expiration !== undefined]));
    expect(expiring.size).toBe(2);
    expect(expiring.get(body.version)).toBe(false);
    expect([...expiring.values()].filter(Boolean)).toHaveLength(1);
    await server.send('DELETE', '/v1/label-sets/versions');
    expect((await keys()).filter((key) => key.includes('/versions'))).toEqual([]);
  });

  it('[regression] a PUT mends a set whose file is gone', async () => {
    const { body } = await server.send('PUT', '/v1/label-sets/mended', { labels: ['cat'] });
    await (await server.env()).LABEL_SETS.delete(`labels/${revision}/mended/${body.version}`);
    await server.send('PUT', '/v1/label-sets/mended', { labels: ['cat'] });
    const { keys: files } = await (await server.env()).LABEL_SETS.list({ prefix: `labels/${revision}/mended/` });
    expect(files).toHaveLength(1);
  });

  it('a stored set that has the name of a built-in one is not listed, and can be deleted', async () => {
    const { LABEL_SETS } = await server.env();
    const pointer = { version: '0'.repeat(64), count: 1 };
    await LABEL_SETS.put(`labels/${revision}/cifar-10`, JSON.stringify(pointer), { metadata: pointer });
    const { body } = await server.get('/v1/label-sets');
    const named = body.labelSets.filter(({ name }: { name: string }) => name === 'cifar-10');
    expect(named).toEqual([expect.objectContaining({ builtIn: true, count: 10 })]);
    expect((await server.send('DELETE', '/v1/label-sets/cifar-10')).status).toBe(204);
    expect((await server.send('DELETE', '/v1/label-sets/cifar-10')).body.code).toBe('label_set_read_only');
  });
});

describe('a precomputed set', () => {
  it('is stored as it is, under the name of the path', async () => {
    const { status, body } = await server.send('PUT', '/v1/label-sets/ten', cifarFile);
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'ten', count: 10, labels: cifar.labels });
    const env = await server.env();
    const file = await env.LABEL_SETS.get(`labels/${revision}/ten/${body.version}`, 'arrayBuffer');
    expect(new Uint8Array(file!)).toEqual(cifarFile);
    const own = await server.post('/v1/classify?labelSet=ten', chelsea);
    const builtIn = await server.post('/v1/classify?labelSet=cifar-10', chelsea);
    expect(own.body.predictions).toEqual(builtIn.body.predictions);
  });

  it('has the rows that its labels and templates get here', async () => {
    const { body } = await server.send('PUT', '/v1/label-sets/same', {
      labels: cifar.labels,
      templates: cifar.templates,
    });
    const env = await server.env();
    const file = await env.LABEL_SETS.get(`labels/${revision}/same/${body.version}`, 'arrayBuffer');
    const made = decodeLabelSet(new Uint8Array(file!), { revision, embeddingDim });
    for (let at = 0; at < made.embeddings.length; at += embeddingDim) {
      const [row, own] = [cifar, made].map(({ embeddings }) => embeddings.subarray(at, at + embeddingDim));
      expect(cosines(row, own)[0]).toBeGreaterThan(0.999);
    }
  });

  it.each([
    ['of another revision', encodeLabelSet({ ...cifar, revision: 'f'.repeat(64) }), 409, 'model_mismatch'],
    ['that is cut off', cifarFile.subarray(0, -100), 422, 'invalid_label_set'],
    [
      'that is not normalised',
      encodeLabelSet({ ...cifar, embeddings: cifar.embeddings.map((x) => 2 * x) }),
      422,
      'invalid_label_set',
    ],
  ])('%s is refused, and nothing of it is stored', async (_, file, status, code) => {
    const before = await keys();
    expect(await server.send('PUT', '/v1/label-sets/refused', file)).toMatchObject({ status, body: { code } });
    expect(await keys()).toEqual(before);
  });
});

it('an upload that breaks off is not visible', async () => {
  const before = await keys();
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(server.url.port), server.url.hostname, () => {
      const head = `PUT /v1/label-sets/broken HTTP/1.1\r\nHost: ${server.url.host}\r\nContent-Length: ${cifarFile.length}\r\n\r\n`;
      socket.write(head);
      socket.write(cifarFile.subarray(0, 5000), () => setTimeout(() => socket.destroy(), 100));
    });
    socket.on('close', () => resolve());
    socket.on('error', reject);
  });
  expect(await keys()).toEqual(before);
  expect((await server.get('/v1/label-sets/broken')).status).toBe(404);
});

it('a pointer whose file is not there yet is no set', async () => {
  const env = await server.env();
  const pointer = { version: '0'.repeat(64), previous: null, count: 1 };
  await env.LABEL_SETS.put(`labels/${revision}/early`, JSON.stringify(pointer));
  expect((await server.post('/v1/classify?labelSet=early', chelsea)).body.code).toBe('label_set_not_found');
  await env.LABEL_SETS.delete(`labels/${revision}/early`);
});

it.each([
  ['PUT', '/v1/label-sets/imagenet-200', { labels: ['a'] }, 409, 'label_set_read_only'],
  ['DELETE', '/v1/label-sets/cifar-10', undefined, 409, 'label_set_read_only'],
  ['DELETE', '/v1/label-sets/nothing', undefined, 404, 'label_set_not_found'],
  ['PUT', '/v1/label-sets/UPPER', { labels: ['a'] }, 400, 'invalid_request'],
  ['PUT', '/v1/label-sets/x', { labels: [] }, 400, 'no_labels'],
  ['PUT', '/v1/label-sets/x', { labels: ['a', 'a'] }, 400, 'duplicate_label'],
  ['PUT', '/v1/label-sets/x', { labels: ['a'], templates: ['a'] }, 400, 'invalid_template'],
  ['PUT', '/v1/label-sets/x', { templates: ['a {}'] }, 400, 'invalid_request'],
  ['PUT', '/v1/label-sets/x', 'not JSON at all', 400, 'invalid_json'],
  ['PUT', '/v1/label-sets/x?model=none', { labels: ['a'] }, 404, 'model_not_found'],
])('%s %s is refused', async (method, path, body, status, code) => {
  expect(await server.send(method, path, body)).toMatchObject({ status, body: { code } });
});

it('says which prompts were cut', async () => {
  const { body } = await server.send('PUT', '/v1/label-sets/long', {
    labels: ['very '.repeat(100), 'cat'],
    templates: ['{}'],
  });
  expect(body.truncated).toEqual(['very '.repeat(100)]);
});
