/** The `tokenizer.json` that Hugging Face's tokenizers want for CLIP, made from our table of merges. */

const START = '<|startoftext|>';
const END = '<|endoftext|>';

/** GPT-2's `bytes_to_unicode`, in the order of ids: a printable stand-in for each byte. */
function byteCharacters(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  const bytes = Array.from({ length: 256 }, (_, b) => b);
  const standIns = bytes.filter((b) => !printable(b)).map((_, i) => String.fromCharCode(256 + i));
  return [...bytes.filter(printable).map((b) => String.fromCharCode(b)), ...standIns];
}

/** Tokens in the order of ids, without the two special ones. @param merges [count, 2] */
export function tokensOf(merges: Uint16Array): string[] {
  const characters = byteCharacters();
  const tokens = [...characters, ...characters.map((character) => `${character}</w>`)];
  for (let i = 0; i < merges.length; i += 2) tokens.push(tokens[merges[i]] + tokens[merges[i + 1]]);
  return tokens;
}

/** Layout of `openai/clip-vit-base-patch32`'s file. */
export function createTokenizerJson(merges: Uint16Array) {
  const tokens = [...tokensOf(merges), START, END];
  const special = (content: string) => ({ id: tokens.indexOf(content), content, special: true });
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const pattern = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [START, END].map((content) => ({ ...plain, ...special(content) })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [END, tokens.indexOf(END)],
      cls: [START, tokens.indexOf(START)],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: {
      type: 'BPE',
      unk_token: END,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: Array.from(
        { length: merges.length / 2 },
        (_, i) => `${tokens[merges[2 * i]]} ${tokens[merges[2 * i + 1]]}`,
      ),
    },
  };
}

export const TOKENIZER_CONFIG = {
  bos_token: START,
  eos_token: END,
  pad_token: END,
  unk_token: END,
  add_prefix_space: false,
  do_lower_case: true,
  model_max_length: 77,
  tokenizer_class: 'CLIPTokenizer',
};
