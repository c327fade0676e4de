/** A SigLIP that `clip-export export` made of a Hugging Face checkpoint, through the Worker, against transformers in float32. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cosines } from '../../src/clip/embedding.ts';
import { goldenJson, goldenTensors } from '../golden.ts';
import { embed } from './golden-answers.ts';
import { base64, type Server, sample, startServer } from './server.ts';

const LEAST_COSINE = 0.999;
const { images, texts } = goldenJson<{ images: string[]; texts: string[] }>('siglip');
const golden = (name: string) => goldenTensors('siglip').tensors.get(name)!.data as Float32Array;

let server: Server;
beforeAll(async () => {
  server = await startServer('./test/edge/siglip.toml');
});
afterAll(() => server.close());

it('texts, cut by its own tokenizer', async () => {
  const asked = texts.flatMap((text, i) => (text ? [{ text, i }] : [])); // the route takes no empty text
  const embeddings = await embed(
    server,
    asked.map(({ text }) => text),
  );
  for (const [n, { text, i }] of asked.entries()) {
    const all = cosines(embeddings[n], golden('texts'));
    expect(all[i], text).toBeGreaterThan(LEAST_COSINE);
    // were all texts alike, a cosine near 1 would say nothing
    expect(
      all.filter((cosine) => cosine > LEAST_COSINE),
      text,
    ).toHaveLength(1);
  }
});

it('images', async () => {
  const items = images.map((name) => ({ image: base64(sample(name)) }));
  for (const [i, embedding] of (await embed(server, items)).entries()) {
    expect(cosines(embedding, golden('images'))[i], images[i]).toBeGreaterThan(LEAST_COSINE);
  }
});

it('scores labels, whatever their case and punctuation', async () => {
  const { body } = await server.post('/v1/classify', {
    image: base64(sample('chelsea.png')),
    labels: ['A CAT!', 'a cat', 'a dog'],
  });
  const scores = new Map(body.predictions.map(({ label, score }: { label: string; score: number }) => [label, score]));
  expect(scores.get('A CAT!')).toBe(scores.get('a cat'));
  expect(scores.get('a dog')).not.toBe(scores.get('a cat'));
  expect(body.scores).toBe('sigmoid');
});
