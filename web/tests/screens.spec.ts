/** One test for each screen that the other files do not use. */
import { readFileSync } from 'node:fs';
import { client, expect, open, ownCampaign, settled, test } from './support.ts';

test('home shows what starts, runs and waits', async ({ page }) => {
  await open(page, '/');
  await settled(page);
  await expect(page.getByRole('link', { name: /Running campaigns/ })).toContainText(/\d+/);
  await page.getByRole('link', { name: /With unpublished changes/ }).click();
  await expect(page).toHaveURL(/view=waiting/);
  await expect(page.getByRole('link', { name: 'PARTNER-YEAR' })).toBeVisible();
});

test('the root of the service leads to the desk', async ({ page }) => {
  await page.goto(new URL('/', process.env.DESK_URL).href);
  await expect(page).toHaveURL(/\/desk\/$/);
});

test('the list keeps its search, view and order in the address', async ({ page }) => {
  await open(page, '/campaigns');
  await page.getByRole('button', { name: 'Ended' }).click();
  await page.getByRole('button', { name: 'Description' }).click();
  await page.getByRole('searchbox', { name: 'Search' }).fill('dealer');
  await expect(page.getByText('1 campaign', { exact: true })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('button', { name: 'Ended' })).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByRole('searchbox', { name: 'Search' })).toHaveValue('dealer');
  await expect(page.getByRole('link', { name: 'DEALER-DAYS' })).toBeVisible();
  await page.getByRole('searchbox', { name: 'Search' }).fill('nothing of this kind');
  await expect(page.getByText('Nothing found for “nothing of this kind”')).toBeVisible();
});

test('tables are exported to CSV and XLSX', async ({ page }) => {
  await open(page, '/items');
  await settled(page);
  for (const [name, start] of [
    ['CSV', '\ufeffNo.,Description'],
    ['Excel (XLSX)', 'PK'],
  ] as const) {
    await page.getByRole('button', { name: 'Export' }).click();
    const waiting = page.waitForEvent('download');
    await page.getByRole('menuitem', { name }).click();
    const file = await (await waiting).path();
    expect(readFileSync(file, 'utf8').startsWith(start)).toBe(true);
    await expect(page.getByText(/rows exported/)).toBeVisible();
  }
});

test('Alt+Q finds pages, campaigns and items', async ({ page }) => {
  await open(page, '/');
  await page.keyboard.press('Alt+q');
  const field = page.getByRole('combobox', { name: 'What do you want to do?' });
  await field.fill('TENT-2');
  await expect(page.getByRole('option', { name: /TENT-2/ })).toBeVisible();
  await field.fill('price ch');
  await expect(page.getByRole('option', { name: /Price check/ })).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/price-check/);
});

test('language and theme are chosen in the menu and kept', async ({ page }) => {
  await open(page, '/campaigns');
  await page.getByRole('button', { name: 'Account, language and theme' }).click();
  await page.getByRole('menuitemradio', { name: 'Norsk bokmål' }).click();
  await expect(page.getByRole('heading', { name: 'Kampanjer' })).toBeVisible();
  await page.getByRole('button', { name: 'Konto, språk og tema' }).click();
  await page.getByRole('menuitemradio', { name: 'Mørkt' }).click();
  await expect(page.locator('.theme-dark')).toBeVisible();
  expect(await page.evaluate(() => localStorage.getItem('kampanje.theme'))).toBe('dark');
});

test('a draft is moved in the calendar by keyboard', async ({ page }) => {
  const number = await ownCampaign([]);
  const before = (await client().campaigns.get(number)).startingDate ?? '';
  await open(page, `/calendar?from=${before.slice(0, 8)}01&months=3`);
  const bar = page.getByRole('button', { name: new RegExp(number) });
  await bar.focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.getByText(`${number} now starts on`)).toBeVisible();
  await expect
    .poll(async () => (await client().campaigns.get(number)).startingDate)
    .toBe(`${before.slice(0, 8)}02`);
  await page.getByRole('button', { name: 'Show as table' }).click();
  await expect(page.getByRole('cell', { name: new RegExp(number) })).toBeVisible();
});

test('a segment is made by criteria, and goes back', async ({ page }) => {
  const number = await ownCampaign([]);
  await open(page, `/segments/S-${number}`);
  await expect(page.getByRole('link', { name: 'FJELLSPORT' })).toBeVisible();
  const filter = page.getByLabel('Contacts where');
  await filter.fill("type eq 'COMPANY' and industryGroups/any(g: g eq 'SPORT')");
  await filter.press('Enter');
  await expect(page.getByText(/1 lines now, \d+ afterwards/)).toBeVisible();
  await page.getByRole('button', { name: 'Apply' }).click();
  await expect
    .poll(async () => (await client().segmentLines.list(`S-${number}`).take(100)).length)
    .toBeGreaterThan(1);
  await expect(page.getByText(/\d+ contacts? added/)).toBeVisible();
  await page.getByRole('button', { name: 'Go back' }).click();
  await expect
    .poll(async () => (await client().segmentLines.list(`S-${number}`).take(100)).length)
    .toBe(1);
});

test('the audience explains why a customer does not get the price', async ({ page }) => {
  await open(page, '/campaigns/SUMMER/audience');
  await page.getByRole('combobox', { name: 'Customer or contact' }).fill('SIRI');
  await page.getByRole('option', { name: /SIRI/ }).click();
  await expect(page.getByText('KYSTUTSTYR is not in the published audience.')).toBeVisible();
  await expect(page.getByText('Objects to marketing').first()).toBeVisible();
});

test('the conflict map shows whom a campaign meets', async ({ page }) => {
  await open(page, '/conflicts');
  const meeting = page
    .getByRole('button', { name: /EXPEDITION × KITCHEN|KITCHEN × EXPEDITION/ })
    .first();
  await expect(meeting).toBeVisible({ timeout: 45_000 });
  await meeting.click();
  await expect(page).toHaveURL(/pair=/);
  await expect(page.getByRole('heading', { name: /×/ })).toBeVisible();
});

test('a price is checked as of a version and for another day', async ({ page }) => {
  await open(page, '/price-check?contact=FJELLSPORT&item=TENT-2&quantity=10');
  await expect(page.locator('.big-price')).toContainText('189.05');
  await expect(page.getByText('Campaign SUMMER').first()).toBeVisible();
  await page.getByRole('button', { name: 'Show as table' }).click();
  await expect(page.getByRole('region', { name: /Price of TENT-2/ })).toBeVisible();
  // The version before the campaign; an earlier one may not know the item, which is an error.
  const [summer] = await client()
    .publications.list({ filter: "campaignNumber eq 'SUMMER'", orderby: 'version' })
    .take(1);
  const before = String((summer?.version ?? 0) - 1);
  await page.getByLabel('Version').fill(before);
  await page.getByLabel('Version').press('Enter');
  await expect(page).toHaveURL(new RegExp(`version=${before}`));
  await expect(page.getByText(`As known at version ${before}`)).toBeVisible();
});

test('publications are shown with their changes and compared', async ({ page }) => {
  const summer = (
    await client().publications.list({ filter: "campaignNumber eq 'SUMMER'" }).take(1)
  )[0];
  await open(page, `/publications/${String(summer?.version)}`);
  await expect(page.getByText('TENT-2 · Campaign SUMMER').first()).toBeVisible();
  await open(page, '/publications/compare');
  await page.getByLabel('From version').fill('1');
  await page.getByLabel('From version').press('Enter');
  await page.getByLabel('To version').fill('5');
  await page.getByLabel('To version').press('Enter');
  await expect(page).toHaveURL(/from=1&to=5/);
  await expect(page.getByRole('region', { name: 'Changes' })).toBeVisible();
});

test('statistics are shown for all campaigns and for one', async ({ page }) => {
  await open(page, '/statistics');
  await page.getByRole('link', { name: 'DEALER-DAYS' }).click();
  await expect(page.getByText('71.4 %').first()).toBeVisible();
  await page.getByLabel('Group by').selectOption('segment');
  await expect(page).toHaveURL(/group=segment/);
  await page.getByRole('button', { name: 'Show as table' }).click();
  await expect(page.getByRole('region', { name: 'Sales' })).toBeVisible();
});

test('standing prices are edited for a group', async ({ page }) => {
  await open(page, '/standing-prices?for=CUSTOMER_PRICE_GROUP&key=DESK-TEST');
  const grid = page.getByRole('grid', { name: 'Prices' });
  await grid.focus();
  await page.keyboard.type('GAS');
  await page.keyboard.press('Enter');
  for (let column = 0; column < 5; column += 1) await page.keyboard.press('ArrowRight');
  await page.keyboard.type('9,9');
  await page.keyboard.press('Enter');
  await expect(grid.getByText('9.90')).toBeVisible();
  // The grid shows the value before it is stored.
  const lines = () => client().prices.list({ filter: "source.code eq 'DESK-TEST'" }).take(2);
  await expect.poll(async () => (await lines())[0]?.unitPrice).toBe('9.9');
  await client().prices.delete((await lines())[0]?.id ?? '', { ifMatch: '*' });
});

test('a price list is read to its end by scrolling', async ({ page }) => {
  await open(page, '/price-lists?contact=FJELLSPORT');
  const table = page.getByRole('region', { name: 'Price list' });
  await expect(table.getByRole('link').first()).toBeVisible();
  await expect(async () => {
    await table.evaluate((region) => region.scrollTo(0, region.scrollHeight));
    await page.mouse.wheel(0, 10_000);
    await expect(page.getByText(/^\d+ rows$/)).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 30_000 });
});

test('a task is made and closed', async ({ page }) => {
  const number = await ownCampaign([]);
  await open(page, '/work');
  await page.getByRole('button', { name: 'New task' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Campaign').fill(number);
  await dialog.getByLabel('Campaign').press('Tab');
  await dialog.getByLabel('Description').fill(`Call about ${number}`);
  await dialog.getByLabel('Description').press('Tab');
  await dialog.getByLabel('Salesperson').fill('LARS');
  await dialog.getByLabel('Salesperson').press('Tab');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('checkbox', { name: `Done: Call about ${number}` }).click();
  await expect
    .poll(
      async () =>
        (
          await client()
            .tasks.list({ filter: `campaignNumber eq '${number}'` })
            .take(1)
        )[0]?.closed,
    )
    .toBe(true);
});

test('items and contacts lead to their cards', async ({ page }) => {
  await open(page, '/items?q=tent');
  await page.getByRole('link', { name: 'TENT-2' }).click();
  await expect(
    page.getByRole('grid', { name: 'Prices' }).getByText('Contract ELGSTI').first(),
  ).toBeVisible();
  await open(page, '/contacts?view=customers&q=fjell');
  await page.getByRole('link', { name: 'FJELLSPORT' }).click();
  await expect(page.getByRole('link', { name: 'MARTE' })).toBeVisible();
});

test('settings, reference data and keys are set up', async ({ page }) => {
  await open(page, '/setup/campaign-statuses');
  const grid = page.getByRole('grid', { name: 'Campaign statuses' });
  await expect(grid.getByText('PLANNED', { exact: true })).toBeVisible();
  await grid.focus();
  await page.keyboard.press('Control+End');
  await page.keyboard.press('Home');
  await page.keyboard.type('desk');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.type('9');
  await page.keyboard.press('Enter');
  await expect
    .poll(
      async () =>
        (await client().campaignStatuses.list({ filter: "code eq 'DESK'" }).take(1)).length,
    )
    .toBe(1);
  await client().campaignStatuses.delete('DESK', { ifMatch: '*' });

  await open(page, '/setup/api-keys');
  await page.getByRole('button', { name: 'New API key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('From the desk');
  await dialog.getByLabel('Name').press('Tab');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(page.getByText(/^kmp_/)).toBeVisible();
  await page.getByRole('button', { name: 'Revoke From the desk' }).first().click();
  await page.getByRole('button', { name: 'Revoke', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Revoke From the desk' })).toHaveCount(0);
});
