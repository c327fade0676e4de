/** POST /v1/classify: what is in a picture, in the caller's words. */
import type { Context } from 'hono';
import { z } from 'zod';
import { ClipError } from '../src/clip/errors.ts';
import { embedLabels } from '../src/clip/label-set.ts';
import type { Measure, Model } from '../src/clip/model.ts';
import { DEFAULT_TEMPLATES, LIMITS } from '../src/clip/prompts.ts';
import { classify, type Prediction, SCORE_KINDS } from '../src/clip/zero-shot.ts';
import type { LabelStore } from '../src/runtime/label-store.ts';
import type { AppEnv, Parts } from './app.ts';
import { Image, Images, Labels, Name, Templates } from './fields.ts';
import { type ImageSource, imageSources } from './image-input.ts';
import { parse } from './parse.ts';
import { type Problem, problemOf } from './problem.ts';
import { readFields } from './request-fields.ts';

const DEFAULT_TOP_K = 10;
/** So that an answer is not many times its request. */
const TRUNCATED_TOLD = 100;

const whole = `must be a whole number from 1 to ${LIMITS.labels}`;

export const ClassifyRequest = z.strictObject({
  image: Image.optional(),
  images: Images.optional(),
  labels: Labels.optional(),
  labelSet: Name.optional().describe('A stored label set. Without labels and labelSet: the model’s default set.'),
  templates: Templates.optional(),
  topK: z
    .int({ error: whole })
    .min(1, { error: whole })
    .max(LIMITS.labels, { error: whole })
    .default(DEFAULT_TOP_K)
    .describe('How many predictions to answer with.'),
  scores: z
    .enum(SCORE_KINDS, { error: `must be one of ${SCORE_KINDS.join(', ')}` })
    .optional()
    .describe('Default: what the model was trained with; sigmoid means little for a model trained with softmax.'),
  minScore: z.number().optional().describe('Predictions below are left out.'),
  model: Name.optional(),
});

type Options = z.output<typeof ClassifyRequest>;

export async function handleClassify(c: Context<AppEnv>, parts: Parts): Promise<Response> {
  const { measure } = c.get('timing');
  const { fields, files } = await readFields(c.req.raw);
  const options = parse(ClassifyRequest, fields);
  const { fetchImage, limits } = parts;
  const sources = imageSources({ ...options, files }, { fetchImage, maxImages: limits.images });
  const model = await parts.models.get(options.model);
  const { truncated, ...labels } = await resolveLabels(options, { model, labelSets: parts.labelSets, measure });
  const scores = options.scores ?? model.manifest.similarity.kind;
  const classifyOne = async (source: ImageSource) => {
    const embedding = await model.embedImage(await source(measure), measure);
    const { similarity } = model.manifest;
    return measure('score', () => classify(embedding, labels, { ...options, scores, similarity }));
  };
  const answer = {
    model: model.manifest.id,
    labelSet: labels.name,
    scores,
    ...(truncated.length > 0 ? { truncated } : {}),
  };
  const several = options.images !== undefined || sources.length > 1;
  if (!several) return c.json({ ...answer, predictions: await classifyOne(sources[0]) });
  return c.json({ ...answer, results: await eachOnItsOwn(sources, classifyOne) });
}

interface ResolvedLabels {
  /** null for labels that came with the request */
  name: string | null;
  labels: readonly string[];
  embeddings: Float32Array;
  /** prompts that were longer than the model's context, the first hundred of them */
  truncated: string[];
}

async function resolveLabels(
  { labels, labelSet, templates }: Options,
  { model, labelSets, measure }: { model: Model; labelSets: LabelStore; measure: Measure },
): Promise<ResolvedLabels> {
  if (!labels) {
    if (templates) throw new ClipError('invalid_request', 'templates go with labels; a label set brings its own.');
    const { set } = await measure('fetch', () => labelSets.get(model.manifest, labelSet));
    return { name: set.name, labels: set.labels, embeddings: set.embeddings, truncated: [] };
  }
  if (labelSet) throw new ClipError('invalid_request', 'Give labels or labelSet, not both.');
  return { name: null, ...(await embedOwnLabels(model, { labels, templates }, measure)) };
}

/** Labels as they come on the wire → their embeddings. Shared with the making of label sets. */
export async function embedOwnLabels(
  model: Model,
  { labels, templates = [...DEFAULT_TEMPLATES] }: { labels: z.output<typeof Labels>; templates?: string[] },
  measure: Measure,
): Promise<Omit<ResolvedLabels, 'name'> & { templates: string[] }> {
  const truncated: string[] = [];
  const own = labels.map((label) => (typeof label === 'string' ? { label } : label));
  const embeddings = await embedLabels(own, templates, async (texts) => {
    const embedded = await model.embedTexts(texts, measure);
    truncated.push(...texts.filter((_, i) => embedded[i].truncated).slice(0, TRUNCATED_TOLD));
    return embedded.map(({ embedding }) => embedding);
  });
  return { labels: own.map(({ label }) => label), embeddings, truncated, templates };
}

type Result = { predictions: Prediction[] } | { error: Problem };

/** One after the other: an isolate has one thread, and one picture's memory at a time is enough. */
async function eachOnItsOwn(
  sources: readonly ImageSource[],
  classifyOne: (source: ImageSource) => Promise<Prediction[]>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const source of sources) {
    try {
      results.push({ predictions: await classifyOne(source) });
    } catch (error) {
      const problem = problemOf(error);
      if (problem.status >= 500) throw error; // not this picture's fault
      results.push({ error: problem });
    }
  }
  return results;
}
