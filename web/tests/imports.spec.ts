/** Files with rows: the check, the progress, the errors and the end. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { Kampanje } from '@kampanje/client';
import { BOOTSTRAP_KEY } from './services.ts';
import { expect, keyedUrl, picture, signIn, test } from './support.ts';

// The rows are written to the service without data, so that other tests do not meet them.
const k = () => new Kampanje({ baseUrl: keyedUrl(), apiKey: BOOTSTRAP_KEY });

const MANY_ROWS = 100_000;

async function choose(page: Page, name: string, content: string): Promise<void> {
  await page
    .locator('input[type=file]')
    .setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(content) });
  await expect(page.getByText(name)).toBeVisible();
}

test('a file is checked, its errors are shown, and its valid rows are imported', async ({
  page,
}) => {
  const prefix = `CHECK${Date.now().toString(36).toUpperCase()}`;
  const rows = [
    'number;description;listPrice',
    `${prefix}-1;First;100,50`,
    `${prefix}-2;Second;many`,
    `${prefix}-3;Third;-1`,
    `${prefix}-4;Fourth;7`,
  ];
  await signIn(page, '/setup/imports?resource=items', BOOTSTRAP_KEY);
  await expect(page.getByRole('button', { name: 'Check' })).toBeDisabled();
  await choose(page, 'items.csv', rows.join('\r\n'));
  await page.getByRole('button', { name: 'Check' }).click();
  await expect(page.getByText('2 rows would be written. Nothing was changed.')).toBeVisible();
  const errors = page.getByRole('region', { name: 'Errors' });
  await expect(errors.getByRole('row', { name: /^3 listPrice Not a number/ })).toBeVisible();
  await picture(page, 'import');
  await page.getByRole('button', { name: 'Out of range (1)' }).click();
  await expect(page).toHaveURL(/code=OUT_OF_RANGE/);
  await expect(errors.getByRole('row')).toHaveCount(2);
  expect(
    await k()
      .items.list({ filter: `startswith(number,'${prefix}')` })
      .take(9),
  ).toEqual([]);

  await page.getByRole('button', { name: 'Export' }).click();
  const waiting = page.waitForEvent('download');
  await page.getByRole('menuitem', { name: 'CSV' }).click();
  expect(readFileSync(await (await waiting).path(), 'utf8')).toContain('4,listPrice,OUT_OF_RANGE');

  await page.getByRole('button', { name: 'Import the valid rows' }).click();
  await expect(page.getByText('2 rows were written.')).toBeVisible();
  const written = await k()
    .items.list({ filter: `startswith(number,'${prefix}')`, orderby: 'number' })
    .take(9);
  expect(written.map(({ listPrice }) => listPrice)).toEqual(['100.5', '7']);

  // The second time, nothing changes.
  await page.goto(`${keyedUrl()}/desk/setup/imports?resource=items`);
  await choose(page, 'again.csv', [rows[0], rows[1], rows[4]].join('\r\n'));
  await page.getByLabel('Refuse the whole file if one row is refused').check();
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(page.getByText('0 rows were written.')).toBeVisible();
  await expect(page.getByText('No row was refused')).toBeVisible();
});

test.describe('refused files', () => {
  test.use({ provoked: /400/ });

  test('a file whose columns are unknown fails with the reason', async ({ page }) => {
    await signIn(page, '/setup/imports?resource=items', BOOTSTRAP_KEY);
    await choose(page, 'notes.pdf', 'no rows');
    await expect(page.getByText('The name of the file has to end in')).toBeVisible();
    await expect(page.getByRole('button', { name: 'Check' })).toBeDisabled();
    await choose(page, 'items.csv', 'number,colour\r\nA,red');
    await page.getByRole('button', { name: 'Check' }).click();
    await expect(page.getByText('colour').first()).toBeVisible();
  });
});

test('an import of 100,000 rows shows its progress and its errors, and is canceled', async ({
  page,
}) => {
  test.setTimeout(120_000);
  const prefix = `MANY${Date.now().toString(36).toUpperCase()}`;
  const rows = Array.from({ length: MANY_ROWS }, (_, index) =>
    [`${prefix}-${String(index)}`, 'One of many', index % 2_500 === 3 ? 'x' : '5'].join(','),
  );
  await signIn(page, '/setup/imports?resource=items', BOOTSTRAP_KEY);
  await choose(page, 'many.csv', ['number,description,listPrice', ...rows].join('\n'));
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  // Rows are written 10,000 at a time.
  await expect(page.getByText(/^[1-9]0,000 of 100,000 rows$/)).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole('progressbar', { name: 'Progress' })).toBeVisible();
  await expect(page.getByRole('row', { name: /^5 listPrice Not a number/ })).toBeVisible();
  await page.getByRole('button', { name: 'Cancel the import' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the import' }).click();
  await expect(page.getByText('The import was canceled.')).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole('progressbar')).toHaveCount(0);
  await expect(
    page.getByText(/0,000 rows were written before|,9\d\d rows were written before/),
  ).toBeVisible();
});
