// A static web server for the tests: folders mounted under paths, strict content types, all requests recorded.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.safetensors': 'application/octet-stream',
  '.svg': 'image/svg+xml',
  '.toml': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};

// What a page may load under test: only its own files. Browsers report other requests of the page or its Workers to POLICY_REPORTS.
const POLICY_REPORTS = '/policy-reports';
export const OWN_FILES_ONLY = {
  'content-security-policy': `default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:; report-uri ${POLICY_REPORTS}`,
};

// Serves `mounts`, a list of {at: '/path/', folder, headers?, before?}; the first whose path matches is used; `before` holds text to send
// before a file's contents, by the file's name. `violations` collects the reports
// on OWN_FILES_ONLY. Browsers under test use this server as their proxy: their own requests to other machines are refused.
export async function serve(mounts) {
  const requests = [];
  const violations = [];
  const server = createServer(async (request, response) => {
    const done = (status, headers = {}) => {
      requests.push({ method: request.method, url: request.url, status });
      response.writeHead(status, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers });
      return response;
    };
    if (!request.url.startsWith('/')) return response.writeHead(403).end();
    if (request.url === POLICY_REPORTS) {
      violations.push(await text(request));
      return response.writeHead(204).end();
    }
    const url = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const mount = mounts.find(({ at }) => url.startsWith(at));
    if (!mount || url.split('/').includes('..')) return done(404).end();
    if (request.method !== 'GET' && request.method !== 'HEAD') return done(405).end();
    const rest = url.slice(mount.at.length);
    const file = path.join(mount.folder, rest === '' || rest.endsWith('/') ? `${rest}index.html` : rest);
    const found = await stat(file).catch(() => undefined);
    const type = TYPES[path.extname(file)];
    if (!found?.isFile() || !type) return done(404).end();
    const prelude = Buffer.from(mount.before?.[rest] ?? '');
    done(200, { 'content-type': type, 'content-length': prelude.length + found.size, ...mount.headers });
    if (request.method === 'GET') response.write(prelude);
    if (request.method === 'HEAD') response.end();
    else createReadStream(file).pipe(response);
  });
  server.on('connect', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    requests,
    violations,
    close: () => new Promise((closed) => {
      server.close(closed);
      server.closeAllConnections();
    }),
  };
}
