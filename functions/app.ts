/** The HTTP face: middleware, routes, one error handler. */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import { ClipError } from '../src/clip/errors.ts';
import type { LabelStore } from '../src/runtime/label-store.ts';
import type { ModelStore } from '../src/runtime/model-store.ts';
import { handleClassify } from './classify.ts';
import { handleEmbeddings, openAiError } from './embeddings.ts';
import type { FetchImage } from './image-input.ts';
import { deleteLabelSet, getLabelSet, listLabelSets, putLabelSet } from './label-sets.ts';
import type { Limits } from './limits.ts';
import { getModel, listModels } from './models.ts';
import { openApi } from './openapi.ts';
import { problemOf } from './problem.ts';
import { handleSimilarity } from './similarity.ts';
import { createTiming, type Timing } from './timing.ts';

/** What the app is made of; a deployment's bindings become these in `worker.ts`. */
export interface Parts {
  models: ModelStore;
  labelSets: LabelStore;
  fetchImage: FetchImage;
  limits: Limits;
  /** the playground's files */
  assets: { fetch(url: string): Promise<Response> };
}

export interface AppEnv {
  Variables: { requestId: string; timing: Timing };
}

type App = Hono<AppEnv>;

export function createApp(parts: Parts): App {
  const app: App = new Hono<AppEnv>({ strict: false });
  const { bodyBytes } = parts.limits;

  app.use(requestId());
  app.use(async (c, next) => {
    const timing = createTiming();
    c.set('timing', timing);
    await next();
    c.header('server-timing', timing.header());
  });
  app.use(
    bodyLimit({
      maxSize: bodyBytes,
      onError: () => {
        throw new ClipError(
          'payload_too_large',
          `The body has more than ${bodyBytes} bytes; send a smaller image or batch.`,
        );
      },
    }),
  );

  app.post('/v1/classify', (c) => handleClassify(c, parts));
  app.post('/v1/similarity', (c) => handleSimilarity(c, parts));
  app.post('/v1/embeddings', (c) => handleEmbeddings(c, parts));
  app.get('/v1/label-sets', (c) => listLabelSets(c, parts));
  app.get('/v1/label-sets/:name', (c) => getLabelSet(c, parts));
  app.put('/v1/label-sets/:name', (c) => putLabelSet(c, parts));
  app.delete('/v1/label-sets/:name', (c) => deleteLabelSet(c, parts));
  app.get('/v1/models', (c) => listModels(c, parts));
  app.get('/v1/models/:id', (c) => getModel(c, parts));
  app.get('/health', (c) => c.json({ status: 'ok', models: parts.models.ids }));
  app.get('/openapi.json', (c) => c.json(openApi(parts.limits)));
  app.get('/', async (c) => {
    const page = await parts.assets.fetch(new URL('/', c.req.url).href);
    return c.body(page.body as ReadableStream, page.status as 200, { 'content-type': 'text/html; charset=utf-8' });
  });

  app.notFound((c) => {
    throw missing(app, c.req.method, c.req.path);
  });
  app.onError((error, c) => {
    const problem = problemOf(error);
    if (problem.code === 'method_not_allowed') c.header('allow', methodsOf(app, c.req.path).join(', '));
    const body = { ...problem, requestId: c.get('requestId') };
    const openAi = OPENAI_ROUTES.test(c.req.path) ? { error: openAiError(problem) } : {};
    return c.body(JSON.stringify({ ...body, ...openAi }), problem.status as 400, {
      'content-type': 'application/problem+json',
    });
  });
  return app;
}

/** Where OpenAI's clients come; they read their own error object. */
const OPENAI_ROUTES = /^\/v1\/(embeddings|models)(\/|$)/;

/** The methods of the routes that a path matches. */
function methodsOf(app: App, path: string): string[] {
  const matches = (route: string) => new RegExp(`^${route.replace(/:\w+/g, '[^/]+')}$`).test(path);
  return app.routes.filter((route) => route.method !== 'ALL' && matches(route.path)).map((route) => route.method);
}

function missing(app: App, method: string, path: string): ClipError {
  const allowed = methodsOf(app, path);
  if (allowed.length > 0) {
    return new ClipError('method_not_allowed', `${path} takes ${allowed.join(', ')}, not ${method}.`);
  }
  return new ClipError('not_found', `There is nothing at ${path}; /openapi.json lists what there is.`);
}
