/**
 * CLIP's text cleaning: ftfy's `fix_text`, HTML unescaping twice, white space collapsed, lower case
 * (openai/CLIP `simple_tokenizer.py`: `basic_clean`, `whitespace_clean`).
 * Of ftfy it does everything but the repair of mojibake ("donâ€™t" stays as it is).
 */
import { fromWindows1252, type HtmlEntities, unescapeHtml } from './html-entities.ts';

const LIGATURES: Record<string, string> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: 'ʼn',
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  ﬀ: 'ff',
  ﬁ: 'fi',
  ﬂ: 'fl',
  ﬃ: 'ffi',
  ﬄ: 'ffl',
  ﬅ: 'ſt',
  ﬆ: 'st',
};

/** ftfy's own, narrower unescaping: only names that end in a semicolon, and lower-case ones written in capitals. */
function unescapeUnambiguous(text: string, entities: HtmlEntities): string {
  return text.replace(/&#?[0-9A-Za-z]{1,24};/g, (reference) => {
    if (reference[1] === '#') {
      const character = unescapeHtml(reference, entities);
      return character.includes(';') ? reference : character;
    }
    const name = reference.slice(1);
    const exact = entities.get(name);
    if (exact !== undefined) return exact;
    const lower = entities.get(name.toLowerCase());
    const shouted =
      lower !== undefined && name === name.toUpperCase() && unescapeHtml(reference, entities) === reference;
    return shouted ? lower.toUpperCase() : reference;
  });
}

/** One round of ftfy's fixers, in its order. */
function fixOnce(text: string, entities: HtmlEntities, entitiesRead: boolean): string {
  return (entitiesRead ? unescapeUnambiguous(text, entities) : text)
    .replace(/[\x80-\x9f]/g, (c) => fromWindows1252(c.charCodeAt(0)))
    .replace(/[ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀ-ﬆ]/g, (c) => LIGATURES[c])
    .replace(/[\u3000\uff01-\uffef]/g, (c) => (c === '\u3000' ? ' ' : c.normalize('NFKC')))
    .replace(/[\u201c-\u201f]/g, '"')
    .replace(/[\u02bc\u2018-\u201b]/g, "'")
    .replace(/\r\n|[\r\u2028\u2029]/g, '\n')
    .toWellFormed()
    .replace(ANSI_ESCAPE, '')
    .replace(CONTROL, '')
    .normalize('NFC');
}

const ANSI_ESCAPE = /\x1b\[[\d;]*[a-zA-Z]/g;
const CONTROL = /[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;

/** `ftfy.fix_text` without `fix_encoding`: line by line, each until nothing changes any more. */
function fixText(text: string, entities: HtmlEntities): string {
  let entitiesRead = true;
  return text
    .split(/(?<=\n)/)
    .map((line) => {
      // a "<" means markup: ftfy leaves entities alone from there on
      if (line.includes('<')) entitiesRead = false;
      let fixed = line;
      for (;;) {
        const next = fixOnce(fixed, entities, entitiesRead);
        if (next === fixed) return fixed;
        fixed = next;
      }
    })
    .join('');
}

// Python's str.isspace, which is not JavaScript's \s (that has U+FEFF, and lacks U+0085 and U+001C … U+001F)
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;
const PLAIN_ASCII = /^[\x20-\x25\x27-\x7e]*$/;

/** open_clip's `basic_clean`, not trimmed. */
function basicClean(text: string, entities: HtmlEntities): string {
  return PLAIN_ASCII.test(text) ? text : unescapeHtml(unescapeHtml(fixText(text, entities), entities), entities);
}

const collapse = (text: string): string => text.replace(WHITE_SPACE, ' ').replace(/^ | $/g, '');

/** The text as CLIP's tokenizer sees it. */
export function cleanText(text: string, entities: HtmlEntities): string {
  return collapse(basicClean(text, entities)).toLowerCase();
}

/** Python's string.punctuation */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/**
 * What is done to a text before another tokenizer than CLIP's cuts it: open_clip's cleanings by their names, or that of
 * transformers' `SiglipTokenizer`, which repairs nothing and for which SentencePiece's mark of a blank is one.
 */
export type Cleaning = (typeof CLEANINGS)[number];
export const CLEANINGS = ['none', 'whitespace', 'lower', 'canonicalize', 'siglip'] as const;

/** Those that leave no capitals, which CLIP's tokenizer here does not know. */
export type ClipCleaning = (typeof CLIP_CLEANINGS)[number];
export const CLIP_CLEANINGS = ['lower', 'canonicalize'] as const satisfies readonly Cleaning[];

/** Those that need the table of HTML entities. */
export const readsEntities = (cleaning: Cleaning): boolean => cleaning !== 'none' && cleaning !== 'siglip';

export function createCleaning(cleaning: Cleaning, entities: HtmlEntities): (text: string) => string {
  switch (cleaning) {
    case 'none':
      return (text) => text;
    case 'whitespace':
      return (text) => collapse(basicClean(text, entities));
    case 'lower':
      return (text) => cleanText(text, entities);
    case 'canonicalize':
      return (text) => collapse(basicClean(text, entities).replaceAll('_', ' ').replace(PUNCTUATION, '').toLowerCase());
    case 'siglip':
      return (text) => collapse(text.replaceAll('▁', ' ').toLowerCase().replace(PUNCTUATION, ''));
  }
}
