/** Editing: the grid, others who change the same, and a network that fails. */
import { client, expect, open, ownCampaign, paste, settled, test } from './support.ts';

test('the grid is operated by keyboard alone', async ({ page }) => {
  const number = await ownCampaign([
    { itemNumber: 'TENT-1', unitPrice: '150' },
    { itemNumber: 'TENT-2', unitPrice: '219' },
  ]);
  await open(page, `/campaigns/${number}`);
  const grid = page.getByRole('grid', { name: 'Prices' });
  await expect(grid.getByText('TENT-2')).toBeVisible();
  await grid.focus();
  await page.keyboard.press('Control+Home');
  for (let column = 0; column < 5; column += 1) await page.keyboard.press('ArrowRight');
  // Typing replaces the value; a comma separates decimals too.
  await page.keyboard.type('149,5');
  await page.keyboard.press('Enter');
  await expect(grid.getByText('149.50')).toBeVisible();
  // F8 copies the value above into the second row.
  await page.keyboard.press('F8');
  await expect(grid.getByText('149.50')).toHaveCount(2);
  // A new row is stored once it has an item and a price.
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Home');
  await page.keyboard.type('GAS');
  await page.keyboard.press('Enter');
  for (let column = 0; column < 5; column += 1) await page.keyboard.press('ArrowRight');
  await page.keyboard.type('5');
  await page.keyboard.press('Enter');
  await expect
    .poll(async () => (await client().campaignPrices.list(number).take(10)).length)
    .toBe(3);
  await page.keyboard.press('Control+Home');
  await page.keyboard.press('Control+Delete');
  await expect
    .poll(async () => (await client().campaignPrices.list(number).take(10)).length)
    .toBe(2);
  const prices = (await client().campaignPrices.list(number).take(10)).map(
    ({ unitPrice }) => unitPrice,
  );
  expect(prices.sort()).toEqual(['149.5', '5']);
});

test.describe('refused values', () => {
  test.use({ provoked: /40[09]|412|422/ });

  test('a refused value stays in its cell with the reason', async ({ page }) => {
    const number = await ownCampaign([{ itemNumber: 'TENT-1', unitPrice: '150' }]);
    await open(page, `/campaigns/${number}`);
    const grid = page.getByRole('grid', { name: 'Prices' });
    await expect(grid.getByText('150.00')).toBeVisible();
    await grid.focus();
    await page.keyboard.press('Control+Home');
    await page.keyboard.type('NOTHING');
    await page.keyboard.press('Enter');
    const wrong = grid.locator('[aria-invalid=true]');
    await expect(wrong).toHaveText('NOTHING');
    await expect(wrong).toHaveAttribute('title', /NOTHING/);
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('F2');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('TENT-3');
    await page.keyboard.press('Enter');
    await expect(grid.getByText('TENT-3')).toBeVisible();
    await expect(wrong).toHaveCount(0);
  });

  test('two thousand pasted rows are previewed with each error in its cell', async ({ page }) => {
    test.setTimeout(120_000);
    const number = await ownCampaign([]);
    // Breaks of many items: those of one item would all be compared with each other in the plan.
    const items = await client().items.list({ filter: 'blocked eq false', top: 50 }).take(50);
    const rows = Array.from({ length: 2000 }, (_, index) => {
      const item = items[index % items.length];
      const quantity = Math.floor(index / items.length) + 1;
      const price = (Number(item?.listPrice ?? 100) - quantity / 100).toFixed(2);
      return `${index === 3 ? 'NOBODY' : (item?.number ?? '')}\t${String(quantity)}\t${price}`;
    });
    await open(page, `/campaigns/${number}`);
    const grid = page.getByRole('grid', { name: 'Prices' });
    await grid.focus();
    await paste(page, ['Item\tMin. qty\tUnit price', ...rows].join('\n'));
    const dialog = page.getByRole('dialog');
    await expect(dialog.getByText('1999 new, 0 changed, 0 unchanged, 1 refused.')).toBeVisible({
      timeout: 60_000,
    });
    await expect(dialog.locator('.grid-wrong input').first()).toHaveValue('NOBODY');
    await dialog
      .locator('.grid-wrong input')
      .first()
      .fill(items[3]?.number ?? '');
    await dialog.locator('.grid-wrong input').first().press('Enter');
    await expect(dialog.getByText('2000 new, 0 changed, 0 unchanged, 0 refused.')).toBeVisible({
      timeout: 60_000,
    });
    await dialog.getByRole('button', { name: 'Save 2,000 rows' }).click();
    await expect(dialog).toBeHidden({ timeout: 60_000 });
    await expect(page.getByText('2,000 lines').first()).toBeVisible({ timeout: 30_000 });
    expect(await grid.locator('[role=row]').count()).toBeLessThan(60);
    expect((await client().campaignPrices.list(number, { count: true, top: 1 }).page()).count).toBe(
      2000,
    );
  });

  test('a change to another field by somebody else does not disturb', async ({ page }) => {
    const number = await ownCampaign([]);
    await open(page, `/campaigns/${number}`);
    const description = page.getByLabel('Description');
    await expect(description).toHaveValue(`Test ${number}`);
    await client().campaigns.update(number, { type: 'THEIRS' }, { ifMatch: '*' });
    await description.fill('Mine');
    await description.press('Enter');
    await expect(page.getByRole('heading', { name: 'Mine' })).toBeVisible();
    await expect(page.getByLabel('Type')).toHaveValue('THEIRS');
  });

  test('a change to the same field by somebody else is shown', async ({ page }) => {
    const number = await ownCampaign([]);
    await open(page, `/campaigns/${number}`);
    const description = page.getByLabel('Description');
    await expect(description).toHaveValue(`Test ${number}`);
    await client().campaigns.update(number, { description: 'Theirs' }, { ifMatch: '*' });
    await description.fill('Mine');
    await description.press('Enter');
    const dialog = page.getByRole('alertdialog').or(page.getByRole('dialog'));
    await expect(dialog.getByRole('cell', { name: 'Theirs' })).toBeVisible();
    await dialog.getByRole('button', { name: 'Keep mine' }).click();
    await expect(page.getByRole('heading', { name: 'Mine' })).toBeVisible();
    expect((await client().campaigns.get(number)).description).toBe('Mine');
  });

  test('a plan that changes meanwhile is shown again before it is published', async ({ page }) => {
    const number = await ownCampaign([{ itemNumber: 'TENT-1', unitPrice: '140' }]);
    await open(page, `/campaigns/${number}/activation`);
    await settled(page);
    for (const known of await page.getByRole('checkbox', { name: 'I know' }).all())
      await known.check();
    await client().campaignPrices.create(number, { itemNumber: 'TENT-3', unitPrice: '260' });
    await page.getByRole('button', { name: 'Activate', exact: true }).click();
    await expect(page.getByText('The plan has changed.')).toBeVisible();
    expect((await client().campaigns.get(number)).state).toBe('DRAFT');
    await settled(page);
    for (const known of await page.getByRole('checkbox', { name: 'I know' }).all())
      await known.check();
    await page.getByRole('button', { name: 'Activate', exact: true }).click();
    await expect(page.getByText('The campaign is active.')).toBeVisible();
    expect((await client().campaigns.get(number)).state).toBe('SCHEDULED');
    await client().campaigns.deactivate(number);
  });
});

test.describe('without network', () => {
  test.use({ provoked: /ERR_INTERNET_DISCONNECTED|Failed to load resource/ });

  test('what was typed survives a loss of the network', async ({ page, context }) => {
    const number = await ownCampaign([]);
    await open(page, `/campaigns/${number}`);
    await settled(page);
    await context.setOffline(true);
    const type = page.getByLabel('Type');
    await type.fill('FAIR');
    await type.press('Enter');
    await expect(page.getByText('No connection').first()).toBeVisible({ timeout: 30_000 });
    await context.setOffline(false);
    await type.fill('FAIR');
    await type.press('Enter');
    await expect
      .poll(async () => (await client().campaigns.get(number)).type ?? '', { timeout: 30_000 })
      .toBe('FAIR');
  });
});
