/** The shapes of the answers, as JSON schemas, for `openapi.ts`. */

const string = { type: 'string' };
const number = { type: 'number' };
const integer = { type: 'integer' };
const arrayOf = (items: object) => ({ type: 'array', items });
const object = (properties: Record<string, object>, required = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
});
const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });

const truncated = { ...arrayOf(string), description: 'What was longer than the model’s context and was cut.' };

const predictions = {
  ...arrayOf(object({ label: string, score: number })),
  description: 'Best first.',
};

const labelSetProperties = {
  name: string,
  version: { ...string, description: 'sha256 of the file.' },
  builtIn: { type: 'boolean' },
  count: integer,
};

/** @param codes of errors, the closed list */
export const schemas = (codes: readonly string[]) => ({
  Problem: object({
    type: string,
    title: string,
    status: integer,
    detail: { ...string, description: 'What was wrong this time, and what to change.' },
    code: { type: 'string', enum: codes },
    requestId: string,
  }),
  Predictions: predictions,
  Classification: object(
    {
      model: string,
      labelSet: { type: ['string', 'null'], description: 'null: the labels came with the request.' },
      scores: string,
      predictions: reference('Predictions'),
      results: {
        ...arrayOf({
          oneOf: [object({ predictions: reference('Predictions') }), object({ error: reference('Problem') })],
        }),
        description: 'For several images, in their order.',
      },
      truncated,
    },
    ['model', 'labelSet', 'scores'],
  ),
  Similarity: object(
    {
      model: string,
      rows: { type: 'string', enum: ['images', 'texts'] },
      columns: { type: 'string', enum: ['images', 'texts'] },
      similarity: { ...arrayOf(arrayOf(number)), description: 'Cosines, one array for each row.' },
      truncated,
    },
    ['model', 'rows', 'columns', 'similarity'],
  ),
  Embeddings: object(
    {
      object: { const: 'list' },
      model: string,
      data: arrayOf(
        object({
          object: { const: 'embedding' },
          index: integer,
          embedding: { oneOf: [arrayOf(number), string], description: 'Of length 1; a string in base64.' },
        }),
      ),
      usage: object({ prompt_tokens: integer, total_tokens: integer }),
      truncated,
    },
    ['object', 'model', 'data', 'usage'],
  ),
  LabelSet: object({
    ...labelSetProperties,
    model: string,
    revision: string,
    templates: arrayOf(string),
    calibration: {
      type: ['object', 'null'],
      description: 'What clip-export calibrate fitted; the background is the texts that compete with the labels.',
      properties: {
        temperature: number,
        threshold: number,
        falsePositiveRate: number,
        platt: object({ scale: number, bias: number }),
        background: arrayOf(string),
        calibratedOn: { type: 'object' },
      },
    },
    labels: arrayOf(string),
  }),
  LabelSets: object({ model: string, labelSets: arrayOf(object(labelSetProperties)) }),
  Model: object({ id: string, object: { const: 'model' }, created: integer, owned_by: string }),
  Models: object({ object: { const: 'list' }, data: arrayOf(reference('Model')) }),
  Health: object({ status: { const: 'ok' }, models: arrayOf(string) }),
});

export type AnswerName = keyof ReturnType<typeof schemas>;
