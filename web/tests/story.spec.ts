/** A first-time user plans, activates, checks and rolls back a campaign. */
import { client, expect, open, ownCampaign, paste, picture, settled, test } from './support.ts';

const MARGIN_FACTOR = 1.7;

test('a campaign is copied, priced from a spreadsheet, activated, checked and rolled back', async ({
  page,
}) => {
  test.setTimeout(150_000);
  const k = client();
  const original = await ownCampaign(
    [{ itemNumber: 'TENT-2', unitPrice: '229' }],
    'Winter clearance',
  );
  await k.campaigns.update(
    original,
    { marginFloorPercent: '20', guardrailMode: 'BLOCK' },
    { ifMatch: '*' },
  );
  // Items whose margin stays above the floor after the customer's own discount.
  const items = (
    await k.items
      .list({ filter: 'unitCost ne null and listPrice ne null and blocked eq false' })
      .take(200)
  )
    .filter((item) => Number(item.unitCost) * MARGIN_FACTOR < Number(item.listPrice))
    .slice(0, 20);
  expect(items).toHaveLength(20);

  await open(page, '/campaigns');
  await page.getByRole('searchbox', { name: 'Search' }).fill(original);
  await page.getByRole('link', { name: original }).click();
  await settled(page);
  await picture(page, 'story-1-last-year');

  await page.getByRole('button', { name: 'Copy…' }).click();
  const copy = `C${original}`;
  await page.getByLabel('No.', { exact: true }).fill(copy);
  await page.getByLabel('Starting date').last().fill('1/6/2030');
  await page.getByLabel('Ending date').last().fill('30/6/2030');
  await page.getByLabel('Ending date').last().press('Tab');
  await picture(page, 'story-2-copy');
  await page.getByRole('button', { name: 'Copy', exact: true }).click();
  await expect(page).toHaveURL(new RegExp(`/desk/campaigns/${copy}$`));
  await expect(page.getByLabel('Starting date')).toHaveValue('01/06/2030');
  // A copy has no status; without one it could not be activated.
  await page.getByRole('button', { name: 'Approved' }).click();
  await expect(page.getByRole('button', { name: 'Approved' })).toBeDisabled();
  await page.getByRole('button', { name: 'Combination and guardrails' }).click();
  await page.getByLabel('Lowest margin %').fill('20');
  await page.getByLabel('Lowest margin %').press('Enter');
  await page.getByLabel('Guardrails', { exact: true }).selectOption('BLOCK');

  // Twenty prices as a spreadsheet has them, the last one below the margin floor.
  const grid = page.getByRole('grid', { name: 'Prices' });
  await expect(grid.getByText('TENT-2')).toBeVisible();
  await grid.focus();
  const rows = items.map((item, index) => {
    const cost = Number(item.unitCost);
    const price = index === items.length - 1 ? cost * 1.01 : Number(item.listPrice) * 0.95;
    return `${item.number}\t${price.toFixed(2).replace('.', ',')}`;
  });
  await paste(page, rows.join('\n'));
  const preview = page.getByRole('dialog');
  await expect(preview.getByText(/new, .* changed, .* unchanged, 0 refused/)).toBeVisible();
  await preview.getByRole('table').evaluate((table) => table.scrollTo(0, table.scrollHeight));
  await expect(preview.locator('.tone-bad').first()).toBeVisible();
  await picture(page, 'story-3-paste');
  await preview.getByRole('button', { name: /^Save 20 rows/ }).click();
  await expect(preview).toBeHidden();

  // The plan refuses the price that is too low.
  await expect(page.getByText('Below the margin floor').first()).toBeVisible();
  await picture(page, 'story-4-margin');
  const low = items[items.length - 1];
  await grid.focus();
  await page.keyboard.press('Control+Home');
  const row = grid.locator('[role=row]', {
    has: page.getByRole('gridcell', { name: low?.number ?? '', exact: true }),
  });
  for (let step = 0; step < items.length; step += 1) {
    if ((await row.locator('.grid-active').count()) > 0) break;
    await page.keyboard.press('ArrowDown');
  }
  await expect(row.locator('.grid-active')).toBeVisible();
  for (let column = 0; column < 5; column += 1) await page.keyboard.press('ArrowRight');
  await page.keyboard.type((Number(low?.listPrice) * 0.95).toFixed(2));
  await page.keyboard.press('Enter');
  await expect(page.getByText('Below the margin floor')).toHaveCount(0);
  await settled(page);
  await picture(page, 'story-4-fixed');

  await page.getByRole('button', { name: 'Activate…' }).click();
  await expect(page.getByRole('heading', { name: 'How prices change' })).toBeVisible();
  const activate = page.getByRole('button', { name: 'Activate', exact: true });
  for (const known of await page.getByRole('checkbox', { name: 'I know' }).all())
    await known.check();
  await picture(page, 'story-5-plan');
  await activate.click();
  await expect(page.getByText('The campaign is active.')).toBeVisible();
  await picture(page, 'story-5-active');
  const first = (await k.campaigns.get(copy)).publicationVersion;

  // The customer's price and its reasons.
  await open(page, '/price-check?contact=FJELLSPORT&item=TENT-2&date=2030-06-10');
  await expect(page.getByRole('heading', { name: 'Price candidates' })).toBeVisible();
  await expect(page.locator('.chosen').first()).toBeVisible();
  await settled(page);
  await picture(page, 'story-6-price');

  // A later change is published by itself, and rolled back.
  const line = (await k.campaignPrices.list(copy, { filter: "itemNumber eq 'TENT-2'" }).take(1))[0];
  await k.campaignPrices.update(copy, line?.id ?? '', { unitPrice: '199' }, { ifMatch: '*' });
  await open(page, `/campaigns/${copy}`);
  await page.getByRole('button', { name: 'Roll back…' }).click();
  await page.getByRole('radio', { name: new RegExp(`Version ${String(first)} `) }).check();
  await picture(page, 'story-7-rollback');
  await page.getByRole('button', { name: 'Bring back' }).click();
  await expect(page.getByText(`Version ${String(first)} is in force again`)).toBeVisible();
  const quote = await k.priceQuotes.get({
    contactNumber: 'FJELLSPORT',
    itemNumber: 'TENT-2',
    date: '2030-06-10',
  });
  expect(JSON.stringify(quote.lines[0])).not.toContain('"unitPrice":"199"');
});
