/** Embeddings of a Worker that runs, through HTTP. */

/**
 * @param body of an OpenAI request, with what it asks for as base64
 * @throws Error with the answer's detail
 */
export async function embed(url: URL, body: { model?: string; input: readonly object[] }): Promise<Float32Array[]> {
  const response = await fetch(new URL('/v1/embeddings', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, encoding_format: 'base64' }),
  });
  const answer = (await response.json()) as { data: { embedding: string }[]; detail?: string };
  if (!response.ok) throw new Error(`${body.model ?? 'the default model'}: ${answer.detail ?? JSON.stringify(answer)}`);
  return answer.data.map(({ embedding }) => new Float32Array(new Uint8Array(Buffer.from(embedding, 'base64')).buffer));
}
