import { PAGES } from './pages.ts';
import { client, expectAccessible, expect, open, settled, test } from './support.ts';

const WIDTHS = [360, 800, 1440, 2560];

/** Themes follow the system, so they change without loading the page again. */
const THEMES = {
  light: { colorScheme: 'light', contrast: 'no-preference' },
  dark: { colorScheme: 'dark', contrast: 'no-preference' },
  contrast: { colorScheme: 'dark', contrast: 'more' },
} as const;

test.use({ theme: 'system' });

/** The ids in the paths of `PAGES`. */
const made: Record<string, string> = {};

test.beforeAll(async () => {
  const file = 'number,listPrice\nA,many\nB,5\n,7\nB,6\n';
  const answer = await fetch(
    `${process.env.DESK_URL ?? ''}/v1/imports?resource=items&validateOnly=true`,
    { method: 'POST', headers: { 'content-type': 'text/csv' }, body: file },
  );
  made.import = ((await answer.json()) as { id: string }).id;
  const webhook = await client().webhookSubscriptions.create({
    url: 'https://shop.example/hooks/kampanje',
    description: 'Web shop',
    enabled: false,
  });
  made.webhook = webhook.id;
});

test.afterAll(async () => {
  await client().webhookSubscriptions.delete(made.webhook ?? '', { ifMatch: '*' });
});

for (const path of PAGES) {
  test(`${path} is accessible in every theme and language, and fits every width`, async ({
    page,
  }) => {
    test.setTimeout(120_000);
    for (const language of ['en', 'nb']) {
      await page.addInitScript((chosen) => {
        localStorage.setItem('kampanje.language', chosen);
      }, language);
      await open(
        page,
        path.replace(/\{(\w+)\}/, (_, name: string) => made[name] ?? ''),
      );
      await settled(page);
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      for (const [theme, media] of Object.entries(THEMES)) {
        await page.emulateMedia(media);
        await expect(page.locator(`.theme-${theme}`)).toBeVisible();
        await expectAccessible(
          page,
          `${path} ${theme} ${language}`,
          theme === 'light' ? 'all' : 'colors',
        );
      }
      await page.emulateMedia(THEMES.light);
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        const excess = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect
          .soft(excess, `${path} ${language} at ${String(width)} pixels`)
          .toBeLessThanOrEqual(0);
      }
      await page.setViewportSize({ width: 1440, height: 900 });
    }
  });
}
