import { expectAccessible, expect, open, settled, test } from './support.ts';

const PAGES = [
  '/',
  '/campaigns',
  '/campaigns/FACTORY-DAYS',
  '/campaigns/FACTORY-DAYS/activation?account=FJELLSPORT',
  '/campaigns/SUMMER/audience?contact=SIRI',
  '/calendar',
  '/conflicts',
  '/segments',
  '/segments/LAUNCH-SHOPS',
  '/work',
  '/work?tab=opportunities',
  '/price-check?contact=FJELLSPORT&item=TENT-2&quantity=10',
  '/price-lists?contact=FJELLSPORT',
  '/publications',
  '/publications/2',
  '/publications/compare?from=1&to=5',
  '/statistics',
  '/statistics?campaign=DEALER-DAYS',
  '/standing-prices?kind=discounts&for=CUSTOMER_DISCOUNT_GROUP&key=DEALER',
  '/items',
  '/items/TENT-2',
  '/contacts',
  '/contacts/FJELLSPORT',
  '/setup',
  '/setup/campaign-statuses',
  '/setup/api-keys',
];

for (const path of PAGES) {
  test(`${path} is accessible in every theme and language`, async ({ page }) => {
    test.setTimeout(120_000);
    await open(page, path);
    for (const language of ['en', 'nb']) {
      for (const theme of ['light', 'dark', 'contrast']) {
        await page.evaluate(
          ([chosenTheme, chosenLanguage]) => {
            localStorage.setItem('kampanje.theme', chosenTheme ?? '');
            localStorage.setItem('kampanje.language', chosenLanguage ?? '');
          },
          [theme, language],
        );
        await page.reload();
        await expect(page.locator('h1')).toBeVisible();
        await settled(page);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        await expectAccessible(page, `${path} ${theme} ${language}`);
      }
    }
  });
}

for (const width of [360, 800, 1440, 2560]) {
  test(`no page is wider than a window of ${String(width)} pixels`, async ({ page }) => {
    test.setTimeout(120_000);
    await page.setViewportSize({ width, height: 900 });
    for (const path of PAGES) {
      await open(page, path);
      await settled(page);
      const excess = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(excess, path).toBeLessThanOrEqual(0);
    }
  });
}
