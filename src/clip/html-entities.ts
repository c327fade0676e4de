/**
 * Character references as Python's `html.unescape` reads them (HTML 5's rules): the reference tokenizer calls it twice.
 * The table of names is data: the tokenizer's artifact carries the one that Python ships (`html.entities.html5`).
 */

/** Name (with its semicolon, and without where HTML allows that) → characters. */
export type HtmlEntities = ReadonlyMap<string, string>;

// windows-1252 for the C1 range, where it defines a character
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

/** What a byte of the C1 range means when a windows-1252 text was read as Latin-1. */
export const fromWindows1252 = (c1: number): string => WINDOWS_1252[c1 - 0x80];

/** https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state, as Python resolves it. */
function numericReference(code: number): string {
  if (code === 0) return '\ufffd';
  if (code === 0x0d) return '\r';
  if (code >= 0x80 && code <= 0x9f) return fromWindows1252(code);
  if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return '\ufffd';
  const control = code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0c;
  const nonCharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  return control || code === 0x7f || nonCharacter ? '' : String.fromCodePoint(code);
}

function namedReference(name: string, entities: HtmlEntities): string {
  const whole = entities.get(name);
  if (whole !== undefined) return whole;
  // "&notit;" is "¬it;": the longest name that begins it, as HTML has it
  for (let end = name.length - 1; end > 1; end--) {
    const found = entities.get(name.slice(0, end));
    if (found !== undefined) return found + name.slice(end);
  }
  return `&${name}`;
}

/** `html.unescape(text)`. */
export function unescapeHtml(text: string, entities: HtmlEntities): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#([0-9]+);?|#[xX]([0-9a-fA-F]+);?|([^\t\n\f <&#;]{1,32};?))/gu, (_, decimal, hex, name) => {
    if (decimal !== undefined) return numericReference(Number.parseInt(decimal, 10));
    if (hex !== undefined) return numericReference(Number.parseInt(hex, 16));
    return namedReference(name, entities);
  });
}
