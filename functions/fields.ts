/** The schemas of fields that several routes take. */
import { z } from 'zod';
import { NAME_PATTERN } from '../src/clip/label-set.ts';
import { DEFAULT_TEMPLATES } from '../src/clip/prompts.ts';

export const Image = z
  .string({ error: 'must be one picture as a string: a data: URL, base64 or an https: URL; several go into images' })
  .describe('A data: URL, base64 or an https: URL.');

export const Images = z.array(Image, { error: 'must be an array of pictures' });

const Label = z
  .union(
    [
      z.string(),
      z.strictObject({
        label: z.string(),
        prompts: z.array(z.string()).optional().describe('Encoded as they are, instead of the templates.'),
      }),
    ],
    { error: 'must be a string or {"label": "…", "prompts": ["…"]}' },
  )
  .describe('A label, or a label with prompts of its own.');

export const Labels = z.array(Label, { error: 'must be an array, like ["cat", "dog"]' });

export const Templates = z
  .array(z.string(), { error: 'must be an array, like ["a photo of a {}."]' })
  .describe(`Prompt templates for labels; {} is where the label goes. Default: ${JSON.stringify(DEFAULT_TEMPLATES)}.`);

export const Name = z
  .string()
  .regex(NAME_PATTERN, { error: 'must be 1 to 64 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit' });
