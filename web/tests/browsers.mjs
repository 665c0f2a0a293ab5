// The two browsers under test, with software drivers: Chromium (Dawn, SwiftShader) and Firefox (wgpu, lavapipe).
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const KINDS = ['chromium', 'firefox'];
const PROGRAMS = {
  chromium: [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'],
  firefox: [process.env.FIREFOX, 'firefox-esr', 'firefox'],
};
// Longer than anything a test waits for in one call: software drivers take seconds to compile shaders.
const CALL_MS = 1_200_000;

function find(kind) {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  for (const name of PROGRAMS[kind].filter(Boolean)) {
    for (const file of name.includes('/') ? [name] : folders.map((folder) => path.join(folder, name))) {
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // not here: continue the search
      }
    }
  }
}

// The software drivers of this machine: {lavapipe: file, swiftshader?: file}.
export function icds() {
  const list = process.env.HALFWAVE_TEST_ICDS ?? execFileSync(path.join(ROOT, 'tools/find-icds.sh'), { encoding: 'utf8' });
  return Object.fromEntries(list.trim().split(',').map((pair) => pair.split('=')));
}

function options(kind, home, port) {
  const common = { headless: true, protocolTimeout: CALL_MS, timeout: 120_000, defaultViewport: { width: 1280, height: 900 } };
  // A separate home, so that no profile, cache or setting of the machine's user has an effect.
  const env = { ...process.env, HOME: home, XDG_RUNTIME_DIR: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home };
  if (kind === 'chromium') {
    const args = ['--enable-unsafe-webgpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', // a camera that shows a test pattern, and is always allowed
      `--proxy-server=127.0.0.1:${port}`, ...process.getuid?.() === 0 ? ['--no-sandbox'] : []];
    return { ...common, browser: 'chrome', args, env };
  }
  const { lavapipe } = icds();
  return {
    ...common,
    browser: 'firefox',
    env: { ...env, VK_DRIVER_FILES: lavapipe, VK_ICD_FILENAMES: lavapipe, MOZ_HEADLESS: '1' },
    extraPrefsFirefox: {
      'dom.webgpu.enabled': true,
      'dom.webgpu.workers.enabled': true,
      'gfx.webgpu.ignore-blocklist': true,
      'layers.acceleration.force-enabled': true,
      'security.sandbox.gpu.level': 0,
      'media.navigator.streams.fake': true, // as in Chromium
      'media.navigator.permission.disabled': true,
      'browser.shell.checkDefaultBrowser': false,
      'app.update.enabled': false,
      'network.proxy.type': 1,
      'network.proxy.http': '127.0.0.1',
      'network.proxy.http_port': port,
      'network.proxy.ssl': '127.0.0.1',
      'network.proxy.ssl_port': port,
    },
  };
}

// Runs `use(browser)` with one browser whose traffic to other machines goes to the proxy `port`.
// A browser that is not installed is an error with REQUIRE_BROWSERS=1; otherwise the test `t` is skipped with a message.
export async function withBrowser(kind, t, port, use) {
  const executablePath = find(kind);
  if (!executablePath) {
    const missing = `no ${kind} on this machine (looked for ${PROGRAMS[kind].filter(Boolean).join(', ')})`;
    if (process.env.REQUIRE_BROWSERS === '1') throw new Error(`${missing}, and REQUIRE_BROWSERS=1`);
    console.log(`*** SKIPPED: ${t.name}: ${missing}`);
    return t.skip(missing);
  }
  const home = mkdtempSync(path.join(tmpdir(), `halfwave-${kind}-`));
  let browser;
  try {
    browser = await puppeteer.launch({ executablePath, ...options(kind, home, port) });
    return await use(browser);
  } finally {
    await browser?.close();
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
