/** A bundle that lies in R2 alone, uploaded as `clip-export publish` does, manifest last. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readBytes, readJson } from '../golden.ts';
import { type Server, sample, startServer } from './server.ts';

let server: Server;
let bucket: R2Bucket;
beforeAll(async () => {
  server = await startServer('./test/edge/r2.toml');
  bucket = (await server.env()).MODEL_BUCKET!;
});
afterAll(() => server.close());

interface Manifest {
  image: { files: { path: string }[] };
  text: { files: { path: string }[]; tokenizer: { files: { path: string }[] } };
  labelSets: { file: { path: string } }[];
}

const FOLDER = 'public/models/tiny-64';
const manifest = readJson<Manifest>(`${FOLDER}/model.json`);
const files = [
  ...manifest.image.files,
  ...manifest.text.files,
  ...manifest.text.tokenizer.files,
  ...manifest.labelSets.map(({ file }) => file),
].map(({ path }) => path);

const upload = (path: string, content: Uint8Array | string = readBytes(`${FOLDER}/${path}`)) =>
  bucket.put(`models/tiny-64/${path}`, content);
const chelsea = sample('chelsea.png');

it('is not there before its manifest', async () => {
  for (const path of files) await upload(path);
  const { status, body } = await server.post('/v1/classify', chelsea);
  expect({ status, code: body.code }).toEqual({ status: 500, code: 'model_unavailable' });
  expect(body.detail).toContain('The manifest tiny-64/model.json is missing');
});

it('then classifies by its own set and by the caller’s words', async () => {
  const stored = { ...manifest, storage: 'r2' };
  await upload('model.json', JSON.stringify(stored));
  const { status, body } = await server.post('/v1/classify', chelsea);
  expect(status).toBe(200);
  expect(body).toMatchObject({ model: 'tiny-64', labelSet: 'imagenet-200' });
  expect(body.predictions[0].label).toBe('tabby cat');
  const own = await server.post('/v1/classify?labels=cat,dog', chelsea);
  expect(own.body.predictions[0].label).toBe('cat');
});
