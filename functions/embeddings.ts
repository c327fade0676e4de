/**
 * POST /v1/embeddings: OpenAI's shape (openai/openai-openapi `CreateEmbeddingRequest`), for texts and for images:
 * data: URLs, infinity's `modality`, Jina's `{"image"}` and `{"text"}` items.
 */
import type { Context } from 'hono';
import { z } from 'zod';
import type { Embedding } from '../src/clip/encoders.ts';
import { ClipError } from '../src/clip/errors.ts';
import type { Measure, Model } from '../src/clip/model.ts';
import { checkText, LIMITS } from '../src/clip/prompts.ts';
import type { AppEnv, Parts } from './app.ts';
import { type FetchImage, imageSource } from './image-input.ts';
import { parseJsonObject } from './json-body.ts';
import { parse } from './parse.ts';
import type { Problem } from './problem.ts';
import { embedImages } from './similarity.ts';

const Item = z.union([z.string(), z.strictObject({ text: z.string() }), z.strictObject({ image: z.string() })], {
  error: 'must be a string, {"text": "…"} or {"image": "…"}; token ids are not taken, since every model has its own',
});

/** Loose: OpenAI's clients send more fields (`user`, …) than matter here. */
export const EmbeddingsRequest = z.looseObject({
  model: z.string().optional().describe('Default: the first model of GET /v1/models.'),
  input: z.union([Item, z.array(Item).min(1)], {
    error:
      'must be a string, {"text": "…"}, {"image": "…"}, or an array of one or more of these; token ids are not taken',
  }),
  modality: z.enum(['text', 'image']).optional().describe('What plain strings are. Default: a data: URL is an image.'),
  encoding_format: z.enum(['float', 'base64']).default('float').describe('base64: little-endian float32.'),
  dimensions: z.int().min(1).max(65536).optional().describe('Only the model’s own number.'),
});

type Request = z.output<typeof EmbeddingsRequest>;

interface Input {
  kind: 'text' | 'image';
  value: string;
}

export async function handleEmbeddings(c: Context<AppEnv>, parts: Parts): Promise<Response> {
  const { measure } = c.get('timing');
  const request = parse(
    EmbeddingsRequest,
    parseJsonObject(new Uint8Array(await c.req.raw.arrayBuffer()), '{"input": "a text"}'),
  );
  const inputs = inputsOf(request, parts.limits.images);
  const model = await parts.models.get(request.model);
  const { id, embeddingDim } = model.manifest;
  if (request.dimensions !== undefined && request.dimensions !== embeddingDim) {
    throw new ClipError('invalid_request', `dimensions must be ${embeddingDim}, what "${id}" has; or leave it out.`);
  }
  const { embeddings, tokens, truncated } = await embed(model, inputs, { fetchImage: parts.fetchImage, measure });
  return c.json({
    object: 'list',
    model: id,
    data: embeddings.map((embedding, index) => ({
      object: 'embedding',
      index,
      embedding: request.encoding_format === 'base64' ? toBase64(embedding) : Array.from(embedding),
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    ...(truncated.length > 0 ? { truncated } : {}),
  });
}

/** @throws invalid_request, too_many_images, too_many_prompts, empty_text */
function inputsOf({ input, modality }: Request, maxImages: number): Input[] {
  const items = Array.isArray(input) ? input : [input];
  const inputs = items.map((item, i) => inputOf(item, modality, `input[${i}]`));
  const images = inputs.filter(({ kind }) => kind === 'image').length;
  if (images > maxImages) throw new ClipError('too_many_images', `${images} images are too many; send ${maxImages}.`);
  if (inputs.length - images > LIMITS.labels) {
    throw new ClipError('too_many_prompts', `${inputs.length - images} texts are too many; send ${LIMITS.labels}.`);
  }
  return inputs;
}

function inputOf(item: z.output<typeof Item>, modality: Request['modality'], where: string): Input {
  if (typeof item !== 'string') {
    return 'image' in item ? { kind: 'image', value: item.image } : text(item.text, where);
  }
  if (modality === 'image' || (!modality && /^data:image\//i.test(item))) return { kind: 'image', value: item };
  if (!modality && /^https?:\/\/\S+$/i.test(item)) {
    throw new ClipError(
      'invalid_request',
      `${where} is a URL: say what it is with "modality": "image" or "text", or send {"image": "…"}.`,
    );
  }
  return text(item, where);
}

function text(value: string, where: string): Input {
  checkText(value, where);
  return { kind: 'text', value };
}

async function embed(
  model: Model,
  inputs: readonly Input[],
  { fetchImage, measure }: { fetchImage: FetchImage; measure: Measure },
) {
  const of = (kind: Input['kind']) => inputs.filter((input) => input.kind === kind).map(({ value }) => value);
  const texts = of('text').length > 0 ? await model.embedTexts(of('text'), measure) : [];
  const sources = of('image').map((value) => imageSource(value, fetchImage));
  const images = await embedImages(model, sources, measure);
  const nextText = texts.values();
  const nextImage = images.values();
  const embeddings = inputs.map(({ kind }): Embedding => {
    return kind === 'image' ? nextImage.next().value! : nextText.next().value!.embedding;
  });
  const truncated = of('text').filter((_, i) => texts[i].truncated);
  return { embeddings, truncated, tokens: texts.reduce((sum, { tokens }) => sum + tokens, 0) };
}

const toBase64 = (embedding: Embedding): string =>
  new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength).toBase64();

/** The error object that OpenAI's clients read. */
export function openAiError({ status, detail, code }: Problem) {
  const type = status >= 500 ? 'server_error' : 'invalid_request_error';
  return { message: detail, type, param: null, code };
}
