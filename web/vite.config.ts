import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));
const repository = join(here, '..');
const outDir = join(here, 'dist');

/** The build's sources. `tests/api/desk.rs` has the same list. */
const SOURCES = [
  'sdks/typescript/src',
  'web/index.html',
  'web/package-lock.json',
  'web/src',
  'web/vite.config.ts',
];

function filesBelow(path: string): string[] {
  const full = join(repository, path);
  if (!existsSync(full)) return [];
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full).flatMap((name) => filesBelow(`${path}/${name}`));
}

/** Compares by bytes, as Rust does. */
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Writes the hash of the sources, and the list of files that the service embeds. */
function describeBuild(): Plugin {
  return {
    name: 'describe-build',
    apply: 'build',
    closeBundle() {
      const digest = createHash('sha256');
      for (const file of SOURCES.flatMap(filesBelow).sort(byBytes)) {
        const content = readFileSync(join(repository, file));
        digest.update(`${file}\0${content.length}\0`).update(content);
      }
      writeFileSync(join(outDir, 'sources.sha256'), `${digest.digest('hex')}\n`);
      const skipped = ['web/dist/files.rs', 'web/dist/sources.sha256'];
      const files = filesBelow('web/dist')
        .filter((file) => !skipped.includes(file))
        .map((file) => file.slice('web/dist/'.length))
        .sort(byBytes);
      const rows = files.map((file) => `    ("${file}", include_bytes!("${file}")),\n`);
      writeFileSync(
        join(outDir, 'files.rs'),
        '// Written by `npm run build` in web/.\n' +
          '/// The files of the front end.\n' +
          `const FILES: &[(&str, &[u8])] = &[\n${rows.join('')}];\n`,
      );
    },
  };
}

/** The service that the development server passes requests on to. */
const service = process.env.KAMPANJE_URL ?? 'http://127.0.0.1:8080';
const proxy = {
  '^/(v1|docs|openapi.json|readyz|desk/sign-in.json)': {
    target: service,
    changeOrigin: true,
    // A service without keys answers changes from its own pages only.
    headers: { origin: service },
  },
};

export default defineConfig(({ command }) => ({
  // The service puts the files below a folder with the hash of the build.
  base: command === 'build' ? './' : '/desk/',
  plugins: [react(), describeBuild()],
  resolve: { alias: { '@kampanje/client': join(repository, 'sdks/typescript/src/index.ts') } },
  server: { proxy },
  preview: { proxy },
  build: {
    outDir,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      output: {
        minifyInternalExports: false,
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
      },
    },
  },
}));
