/** POST /v1/similarity: cosines of images with texts, of images with each other, or of texts with each other. */
import type { Context } from 'hono';
import { z } from 'zod';
import { cosines } from '../src/clip/embedding.ts';
import type { Embedding } from '../src/clip/encoders.ts';
import { ClipError } from '../src/clip/errors.ts';
import type { Measure, Model } from '../src/clip/model.ts';
import { checkText, LIMITS } from '../src/clip/prompts.ts';
import type { AppEnv, Parts } from './app.ts';
import { Image, Images, Name } from './fields.ts';
import { type ImageSource, imageSources } from './image-input.ts';
import { parse } from './parse.ts';
import { readFields } from './request-fields.ts';

export const SimilarityRequest = z.strictObject({
  image: Image.optional(),
  images: Images.optional(),
  texts: z.array(z.string(), { error: 'must be an array, like ["a cat", "a dog"]' }).optional(),
  model: Name.optional(),
});

export async function handleSimilarity(c: Context<AppEnv>, parts: Parts): Promise<Response> {
  const { measure } = c.get('timing');
  const { fields, files } = await readFields(c.req.raw);
  const { model: id, texts = [], ...input } = parse(SimilarityRequest, fields);
  const { fetchImage, limits } = parts;
  const hasImages = input.image !== undefined || (input.images?.length ?? 0) > 0 || files.length > 0;
  if (!hasImages && texts.length === 0) {
    throw new ClipError('missing_image', 'Send images, texts or both: {"images": ["…"], "texts": ["…"]}.');
  }
  checkTexts(texts);
  const sources = hasImages ? imageSources({ ...input, files }, { fetchImage, maxImages: limits.images }) : [];
  const model = await parts.models.get(id);
  const ofTexts = texts.length > 0 ? await model.embedTexts(texts, measure) : [];
  const images = await embedImages(model, sources, measure);
  const truncated = texts.filter((_, i) => ofTexts[i].truncated);
  const textEmbeddings = ofTexts.map(({ embedding }) => embedding);
  const rows = hasImages ? images : textEmbeddings;
  const columns = texts.length > 0 ? textEmbeddings : images;
  return c.json({
    model: model.manifest.id,
    rows: hasImages ? 'images' : 'texts',
    columns: texts.length > 0 ? 'texts' : 'images',
    ...(truncated.length > 0 ? { truncated } : {}),
    similarity: measure('score', () => similarityMatrix(rows, columns)),
  });
}

/** @throws too_many_prompts, empty_text, invalid_request */
function checkTexts(texts: readonly string[]): void {
  if (texts.length > LIMITS.labels) {
    throw new ClipError('too_many_prompts', `${texts.length} texts are too many; a request takes ${LIMITS.labels}.`);
  }
  for (const [i, text] of texts.entries()) checkText(text, `texts[${i}]`);
}

/** All or nothing: a matrix has no place for an error. @throws what the image threw, told which image it was */
export async function embedImages(
  model: Model,
  sources: readonly ImageSource[],
  measure: Measure,
): Promise<Embedding[]> {
  const embeddings: Embedding[] = [];
  for (const [i, source] of sources.entries()) {
    try {
      embeddings.push(await model.embedImage(await source(measure), measure));
    } catch (error) {
      if (error instanceof ClipError && sources.length > 1) {
        throw new ClipError(error.code, `Image ${i + 1} of ${sources.length}: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }
  return embeddings;
}

/** @returns [rows][columns], each in −1 … 1 */
function similarityMatrix(rows: readonly Embedding[], columns: readonly Embedding[]): number[][] {
  const dim = rows[0].length;
  const matrix = new Float32Array(columns.length * dim);
  for (const [i, column] of columns.entries()) matrix.set(column, i * dim);
  // rounding makes 1.0000001 of an image with itself, of which acos knows nothing
  return rows.map((row) => Array.from(cosines(row, matrix), (cosine) => Math.max(-1, Math.min(1, cosine))));
}
