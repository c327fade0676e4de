/** Labels and prompt templates: what may be asked, and the prompts that are encoded for it. */
import { ClipError } from './errors.ts';

/** A label, or a label with prompts of its own, which are encoded as they are, without templates. */
export interface Label {
  label: string;
  /** Absent or empty: the templates, filled with the label. */
  prompts?: readonly string[];
}

/** The template of the CLIP paper, used where neither the request nor a label set names others. */
export const DEFAULT_TEMPLATES: readonly string[] = ['a photo of a {}.'];

export const LIMITS = {
  labels: 1000,
  templates: 100,
  /** labels × templates, encoded in one request; more is a label set for `clip-export labels` */
  prompts: 4000,
  /** characters of one label, prompt, template or text */
  textLength: 1000,
} as const;

/** Every "{}" replaced. A replacer function, since "$&" in a label must stay "$&". */
const fillTemplate = (template: string, label: string): string => template.replaceAll('{}', () => label);

/** The prompts of each label, in order. Checks everything first. @throws the codes of `checkLabels` and `checkTemplates` */
export function promptsOf(labels: readonly Label[], templates: readonly string[]): string[][] {
  checkLabels(labels);
  checkTemplates(templates);
  const count = labels.reduce((sum, { prompts }) => sum + (prompts?.length || templates.length), 0);
  if (count > LIMITS.prompts) {
    throw new ClipError(
      'too_many_prompts',
      `${labels.length} labels with their templates make ${count} prompts, at most ${LIMITS.prompts} are encoded in one request; use fewer templates, or make the label set with clip-export and upload it.`,
    );
  }
  return labels.map(({ label, prompts }, i) => {
    if (prompts?.length) return [...prompts];
    return templates.map((template) => {
      const prompt = fillTemplate(template, label);
      checkLength(prompt, `labels[${i}] in the template "${template.slice(0, 40)}"`);
      return prompt;
    });
  });
}

/** @throws no_labels, too_many_labels, empty_label, duplicate_label, invalid_request */
function checkLabels(labels: readonly Label[]): void {
  if (labels.length === 0) throw new ClipError('no_labels', 'labels is empty; give at least one label.');
  if (labels.length > LIMITS.labels) {
    throw new ClipError(
      'too_many_labels',
      `${labels.length} labels are too many for one request, which takes ${LIMITS.labels}; make the label set with clip-export and upload it.`,
    );
  }
  const seen = new Set<string>();
  for (const [i, { label, prompts }] of labels.entries()) {
    if (label.trim() === '') throw new ClipError('empty_label', `labels[${i}] is empty; give every label a name.`);
    if (seen.has(label)) throw new ClipError('duplicate_label', `labels[${i}] "${label}" is there twice; remove one.`);
    seen.add(label);
    checkLength(label, `labels[${i}]`);
    for (const [k, prompt] of (prompts ?? []).entries()) {
      if (prompt.trim() === '') throw new ClipError('empty_label', `labels[${i}].prompts[${k}] is empty; remove it.`);
      checkLength(prompt, `labels[${i}].prompts[${k}]`);
    }
  }
}

/** @throws invalid_template */
function checkTemplates(templates: readonly string[]): void {
  if (templates.length === 0) {
    throw new ClipError(
      'invalid_template',
      'templates is empty; leave it out, or give at least one, like "a photo of a {}."',
    );
  }
  if (templates.length > LIMITS.templates) {
    throw new ClipError(
      'invalid_template',
      `${templates.length} templates are too many; ${LIMITS.templates} are allowed.`,
    );
  }
  for (const [i, template] of templates.entries()) {
    checkLength(template, `templates[${i}]`);
    if (!template.includes('{}')) {
      throw new ClipError(
        'invalid_template',
        `templates[${i}] "${template}" has no {} where the label goes; write it like "a photo of a {}."`,
      );
    }
  }
}

/** @throws empty_text, invalid_request */
export function checkText(text: string, where: string): void {
  if (text.trim() === '') throw new ClipError('empty_text', `${where} is empty; give a text.`);
  checkLength(text, where);
}

function checkLength(text: string, where: string): void {
  if (text.length > LIMITS.textLength) {
    throw new ClipError(
      'invalid_request',
      `${where} has ${text.length} characters, at most ${LIMITS.textLength} are taken; shorten it.`,
    );
  }
}
