/** GET /openapi.json, made from the very schemas that check the requests. */
import { z } from 'zod';
import { ClassifyRequest } from './classify.ts';
import { EmbeddingsRequest } from './embeddings.ts';
import { LabelSetRequest } from './label-sets.ts';
import type { Limits } from './limits.ts';
import { PROBLEMS } from './problem.ts';
import { SimilarityRequest } from './similarity.ts';

const json = (schema: unknown) => ({ 'application/json': { schema } });
const requestSchema = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input' });
const binary = { schema: { type: 'string', format: 'binary' } };

const problem = {
  description: 'Problem details (RFC 9457); `code` tells what went wrong, `detail` what to change.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const ok = (description: string) => ({
  200: { description, content: json({ type: 'object' }) },
  '4XX': problem,
  '5XX': problem,
});

const parameter = (name: string, where: 'path' | 'query', required = where === 'path') => ({
  name,
  in: where,
  required,
  schema: { type: 'string' },
});

/** A request whose body may also be the image itself, with the fields in the query. */
const withImage = (schema: z.ZodType) => ({
  content: {
    ...json(requestSchema(schema)),
    'multipart/form-data': { schema: requestSchema(schema) },
    'image/*': binary,
  },
});

const labelSetRoutes = {
  get: { summary: 'A label set', parameters: [parameter('name', 'path')], responses: ok('Its labels and templates.') },
  put: {
    summary: 'Make or replace a label set: labels that are embedded here, or a safetensors file of clip-export',
    parameters: [parameter('name', 'path')],
    requestBody: { content: { ...json(requestSchema(LabelSetRequest)), 'application/octet-stream': binary } },
    responses: ok('What was stored.'),
  },
  delete: {
    summary: 'Delete a label set',
    parameters: [parameter('name', 'path')],
    responses: { 204: { description: 'It is gone.' }, '4XX': problem },
  },
};

export function openApi({ bodyBytes, images }: Limits) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Edgeclip',
      version: '1',
      description: `What is in a picture, in your own words. Bodies up to ${bodyBytes} bytes, ${images} images a request.`,
    },
    paths: {
      '/v1/classify': {
        post: {
          summary: 'Label pictures',
          requestBody: withImage(ClassifyRequest),
          responses: ok('`predictions`, best first; for several images `results` in order, each with its own.'),
        },
      },
      '/v1/similarity': {
        post: {
          summary: 'Cosines of images and texts',
          requestBody: withImage(SimilarityRequest),
          responses: ok('`similarity[row][column]`.'),
        },
      },
      '/v1/embeddings': {
        post: {
          summary: 'Embeddings of texts and images, in OpenAI’s shape',
          requestBody: { content: json(requestSchema(EmbeddingsRequest)) },
          responses: ok('`data[].embedding`, of length 1.'),
        },
      },
      '/v1/label-sets': { get: { summary: 'All label sets', responses: ok('Built-in and stored ones.') } },
      '/v1/label-sets/{name}': labelSetRoutes,
      '/v1/models': { get: { summary: 'All models', responses: ok('OpenAI’s list.') } },
      '/v1/models/{id}': {
        get: {
          summary: 'A model',
          parameters: [parameter('id', 'path')],
          responses: ok('The public part of its manifest.'),
        },
      },
      '/health': { get: { summary: 'Whether the Worker runs', responses: ok('`status` is "ok".') } },
    },
    components: {
      schemas: {
        Problem: {
          type: 'object',
          required: ['type', 'title', 'status', 'detail', 'code', 'requestId'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            detail: { type: 'string' },
            code: { type: 'string', enum: Object.keys(PROBLEMS) },
            requestId: { type: 'string' },
          },
        },
      },
    },
  };
}
