import type { Problem } from '../wire';

/** An answer that is not 2xx, or none at all (`status` 0). `message` is for people. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds after which to try again. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

type Method = 'GET' | 'POST' | 'DELETE';

let unauthorised: () => void = () => {};

/** What to do when any request is answered with 401. */
export function onUnauthorised(handler: () => void): void {
  unauthorised = handler;
}

export async function request<T = void>(method: Method, path: string, body: unknown = {}, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method, headers: { accept: 'application/json' }, signal: signal ?? null };
  if (method !== 'GET') {
    init.headers = { ...init.headers, 'content-type': 'application/json' };
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'The server cannot be reached. Check the network and try again.');
  }
  if (!response.ok) throw await failure(response);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

async function failure(response: Response): Promise<ApiError> {
  if (response.status === 401) unauthorised();
  const problem = (await response.json().catch(() => null)) as Problem | null;
  const { code, message } = problem?.error ?? { code: `http_${response.status}`, message: `The server answered ${response.status}.` };
  return new ApiError(response.status, code, message, retryAfter(response.headers.get('retry-after')));
}

function retryAfter(header: string | null): number | null {
  const seconds = Number(header);
  return header !== null && Number.isFinite(seconds) ? seconds : null;
}

/** As a sentence: messages of the server begin small and have no full stop. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.charAt(0).toUpperCase() + message.slice(1) + (/[\p{L}\p{N}]$/u.test(message) ? '.' : '');
}
