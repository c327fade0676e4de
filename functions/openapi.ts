/** GET /openapi.json, made from the very schemas that check the requests. */
import { z } from 'zod';
import { ClassifyRequest } from './classify.ts';
import { EmbeddingsRequest } from './embeddings.ts';
import { LabelSetRequest } from './label-sets.ts';
import type { Limits } from './limits.ts';
import { type AnswerName, schemas } from './openapi-answers.ts';
import { PROBLEMS } from './problem.ts';
import { SimilarityRequest } from './similarity.ts';

const json = (schema: object) => ({ 'application/json': { schema } });
const binary = { type: 'string', format: 'binary' };
const text = { type: 'string' };

/** zod's own JSON schema of what a caller sends. */
const requestSchema = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input' });

function answers(name: AnswerName, description: string) {
  const problem = {
    description: 'Problem details (RFC 9457).',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  const content = json({ $ref: `#/components/schemas/${name}` });
  return { 200: { description, content }, '4XX': problem, '5XX': problem };
}

const parameter = (name: string, where: 'path' | 'query', schema: object = text) => ({
  name,
  in: where,
  required: where === 'path',
  schema,
});

const ofModel = parameter('model', 'query');

/** The fields that may stand in the query, beside a body that is the picture. */
function queryOf(schema: z.ZodObject) {
  const { properties = {} } = requestSchema(schema);
  return Object.entries(properties)
    .filter(([name]) => name !== 'image' && name !== 'images')
    .map(([name, property]) => parameter(name, 'query', property as object));
}

/** As a form, pictures are files and the other fields are text. */
function formOf(schema: z.ZodObject) {
  const fields = Object.keys(schema.shape).map((name) => {
    const files = name === 'images' ? { type: 'array', items: binary } : name === 'image' ? binary : text;
    return [name, files];
  });
  return { type: 'object', properties: Object.fromEntries(fields) };
}

/** A request whose body may also be the picture itself, with the fields in the query. */
const withPicture = (schema: z.ZodObject) => ({
  parameters: queryOf(schema),
  requestBody: {
    required: true,
    description: 'JSON, a form, or the picture itself, of any media type or none.',
    content: {
      ...json(requestSchema(schema)),
      'multipart/form-data': { schema: formOf(schema) },
      'image/*': { schema: binary },
    },
  },
});

const labelSetRoutes = {
  get: {
    operationId: 'getLabelSet',
    summary: 'A label set',
    parameters: [parameter('name', 'path'), ofModel],
    responses: answers('LabelSet', 'Its labels and templates.'),
  },
  put: {
    operationId: 'putLabelSet',
    summary: 'Make or replace a label set: labels that are embedded here, or a safetensors file of clip-export',
    parameters: [parameter('name', 'path'), ofModel],
    requestBody: {
      required: true,
      content: { ...json(requestSchema(LabelSetRequest)), 'application/octet-stream': { schema: binary } },
    },
    responses: answers('LabelSet', 'What was stored.'),
  },
  delete: {
    operationId: 'deleteLabelSet',
    summary: 'Delete a label set',
    parameters: [parameter('name', 'path'), ofModel],
    responses: { 204: { description: 'It is gone.' }, '4XX': answers('LabelSet', '')['4XX'] },
  },
};

const pictureRoutes = {
  '/v1/classify': {
    post: {
      operationId: 'classify',
      summary: 'Label pictures',
      ...withPicture(ClassifyRequest),
      responses: answers('Classification', '`predictions` of one picture, or `results` of several.'),
    },
  },
  '/v1/similarity': {
    post: {
      operationId: 'similarity',
      summary: 'Cosines of pictures and texts',
      ...withPicture(SimilarityRequest),
      responses: answers('Similarity', 'A row for each picture, or for each text if there are only texts.'),
    },
  },
  '/v1/embeddings': {
    post: {
      operationId: 'embeddings',
      summary: 'Embeddings of texts and pictures, in OpenAI’s shape',
      requestBody: { required: true, content: json(requestSchema(EmbeddingsRequest)) },
      responses: answers('Embeddings', 'In the order of the input. Errors have OpenAI’s `error` object as well.'),
    },
  },
};

const get = (operationId: string, summary: string, answer: AnswerName, parameters: object[] = []) => ({
  get: { operationId, summary, parameters, responses: answers(answer, summary) },
});

export function openApi({ bodyBytes, images }: Limits) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Edgeclip',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: `What is in a picture, in your own words. Bodies up to ${bodyBytes} bytes, ${images} images a request.`,
    },
    servers: [{ url: '/' }],
    paths: {
      ...pictureRoutes,
      '/v1/label-sets': get('listLabelSets', 'Built-in and stored label sets', 'LabelSets', [ofModel]),
      '/v1/label-sets/{name}': labelSetRoutes,
      '/v1/models': get('listModels', 'All models', 'Models'),
      '/v1/models/{id}': get('getModel', 'The public part of a model’s manifest', 'Model', [parameter('id', 'path')]),
      '/health': get('health', 'Whether the Worker runs', 'Health'),
    },
    components: { schemas: schemas(Object.keys(PROBLEMS)) },
  };
}
