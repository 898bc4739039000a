/** Sign-in, roles and keys that end. */
import { Kampanje } from '@kampanje/client';
import { expect, keyedUrl, test } from './support.ts';
import { BOOTSTRAP_KEY } from './services.ts';

const admin = () => new Kampanje({ baseUrl: keyedUrl(), apiKey: BOOTSTRAP_KEY });

test.use({ provoked: /40[13]/ });

test('a service with keys asks for one, and refuses a wrong one', async ({ page }) => {
  await page.goto(`${keyedUrl()}/desk/campaigns`);
  await expect(page.getByRole('heading', { name: 'Sign in to Kampanje' })).toBeVisible();
  await page.getByLabel('API key').fill('a key that nobody has issued, and long enough');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('The service does not know this key.')).toBeVisible();
  await page.getByLabel('API key').fill(BOOTSTRAP_KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Campaigns', exact: true })).toBeVisible();
  await expect(page.getByText('There are no campaigns here')).toBeVisible();
});

test('what a role lacks is not offered, and the reason is shown', async ({ page }) => {
  await admin()
    .campaigns.put('READ-ONLY', { description: 'Read only' }, { ifMatch: '*' })
    .catch(() => undefined);
  const found = await admin().campaigns.list({ filter: "number eq 'READ-ONLY'" }).take(1);
  if (found.length === 0)
    await admin().campaigns.create({ number: 'READ-ONLY', description: 'Read only' });
  const key = await admin().apiKeys.create({ name: 'Reader', roles: ['APPROVER'] });
  await page.goto(`${keyedUrl()}/desk/campaigns/READ-ONLY`);
  await page.getByLabel('API key').fill(key.secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Read only' })).toBeVisible();
  await expect(page.getByText('Your role lacks campaigns:write.').first()).toBeVisible();
  await expect(page.getByText('Your role lacks campaigns:activate.').first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Activate…' })).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Copy…' })).toHaveCount(0);
  await expect(page.getByLabel('Description')).not.toBeEditable();
  await expect(page.getByRole('grid', { name: 'Prices' })).toHaveAttribute('aria-readonly', 'true');
});

test('a shop sees prices only', async ({ page }) => {
  const key = await admin().apiKeys.create({ name: 'Shop', roles: ['SHOP'] });
  await page.goto(`${keyedUrl()}/desk/publications`);
  await page.getByLabel('API key').fill(key.secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('You cannot see this page')).toBeVisible();
  const navigation = page.getByRole('navigation', { name: 'Pages' });
  await expect(navigation.getByRole('link')).toHaveText(['Price check', 'Price list']);
});

test('a key that is revoked meanwhile asks to sign in again, and nothing is lost', async ({
  page,
}) => {
  const found = await admin().campaigns.list({ filter: "number eq 'EXPIRY'" }).take(1);
  if (found.length === 0)
    await admin().campaigns.create({ number: 'EXPIRY', description: 'Before' });
  const key = await admin().apiKeys.create({ name: 'Short', roles: ['PRICING'] });
  await page.goto(`${keyedUrl()}/desk/campaigns/EXPIRY`);
  await page.getByLabel('API key').fill(key.secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const description = page.getByLabel('Description');
  await expect(description).toBeVisible();
  await admin().apiKeys.delete(key.id, { ifMatch: '*' });
  await expect
    .poll(
      async () =>
        (await fetch(`${keyedUrl()}/v1/me`, { headers: { authorization: `Bearer ${key.secret}` } }))
          .status,
    )
    .toBe(401);
  await description.fill('After');
  await description.press('Enter');
  await expect(page.getByText('Your key is no longer valid.')).toBeVisible();
  await page.getByLabel('API key').fill(BOOTSTRAP_KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('Your key is no longer valid.')).toHaveCount(0);
  await description.fill('After');
  await description.press('Enter');
  await expect(page.getByRole('heading', { name: 'After' })).toBeVisible();
});
