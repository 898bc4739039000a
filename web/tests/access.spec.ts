/** Sign-in, roles and keys that end. */
import { Kampanje } from '@kampanje/client';
import { USER_NAME } from './issuer.ts';
import { BOOTSTRAP_KEY } from './services.ts';
import { expect, keyedUrl, test } from './support.ts';

const admin = () => new Kampanje({ baseUrl: keyedUrl(), apiKey: BOOTSTRAP_KEY });

test.use({ provoked: /40[13]/ });

test('a service with keys asks for one, and refuses a wrong one', async ({ page }) => {
  await page.goto(`${keyedUrl()}/desk/campaigns`);
  await expect(page.getByRole('heading', { name: 'Sign in to Kampanje' })).toBeVisible();
  await page.getByLabel('API key').fill('a key that nobody has issued, and long enough');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByText('The service does not know this key.')).toBeVisible();
  await page.getByLabel('API key').fill(BOOTSTRAP_KEY);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Campaigns', exact: true })).toBeVisible();
  await expect(page.getByRole('button', { name: /^bootstrap/ })).toBeVisible();
});

test('what a role lacks is not offered, and the reason is shown', async ({ page }) => {
  await admin()
    .campaigns.put('READ-ONLY', { description: 'Read only' }, { ifMatch: '*' })
    .catch(() => undefined);
  const found = await admin().campaigns.list({ filter: "number eq 'READ-ONLY'" }).take(1);
  if (found.length === 0)
    await admin().campaigns.create({ number: 'READ-ONLY', description: 'Read only' });
  const key = await admin().apiKeys.create({
    name: `Reader ${String(Date.now())}`,
    roles: ['APPROVER'],
  });
  await page.goto(`${keyedUrl()}/desk/campaigns/READ-ONLY`);
  await page.getByLabel('API key').fill(key.secret);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Read only' })).toBeVisible();
  await expect(page.getByText('Your role lacks campaigns:write.').first()).toBeVisible();
  await expect(page.getByText('Your role lacks campaigns:activate.').first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Activate…' })).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Copy…' })).toHaveCount(0);
  await expect(page.getByLabel('Description')).not.toBeEditable();
  await expect(page.getByRole('grid', { name: 'Prices' })).toHaveAttribute('aria-readonly', 'true');
});

test('a shop sees prices only', async ({ page }) => {
  const key = await admin().apiKeys.create({ name: `Shop ${String(Date.now())}`, roles: ['SHOP'] });
  await page.goto(`${keyedUrl()}/desk/publications`);
  await page.getByLabel('API key').fill(key.secret);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
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
  const key = await admin().apiKeys.create({
    name: `Short ${String(Date.now())}`,
    roles: ['PRICING'],
  });
  await page.goto(`${keyedUrl()}/desk/campaigns/EXPIRY`);
  await page.getByLabel('API key').fill(key.secret);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
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
  await expect(page.getByText('Your sign-in has ended.')).toBeVisible();
  await page.getByLabel('API key').fill(BOOTSTRAP_KEY);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByText('Your sign-in has ended.')).toHaveCount(0);
  await description.fill('After');
  await description.press('Enter');
  await expect(page.getByRole('heading', { name: 'After' })).toBeVisible();
});

test('users sign in at the issuer, and return to their page', async ({ page }) => {
  await page.goto(`${keyedUrl()}/desk/segments?q=shops`);
  await page.getByRole('button', { name: /Sign in at 127\.0\.0\.1/ }).click();
  await expect(page.getByRole('heading', { name: 'Segments' })).toBeVisible();
  expect(new URL(page.url()).pathname + new URL(page.url()).search).toBe('/desk/segments?q=shops');
  await expect(page.getByRole('button', { name: new RegExp(USER_NAME) })).toBeVisible();

  // An access token that has ended is exchanged for another one without a word.
  await page.evaluate(() => sessionStorage.setItem('kampanje.token', 'ended'));
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Segments' })).toBeVisible();

  // Without a refresh token the user signs in again.
  await page.evaluate(() => {
    sessionStorage.setItem('kampanje.token', 'ended');
    sessionStorage.removeItem('kampanje.refresh');
  });
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Sign in to Kampanje' })).toBeVisible();
});

test('an answer of the issuer that nobody waits for signs nobody in', async ({ page }) => {
  const answer = `${keyedUrl()}/desk/signed-in?code=stolen&state=theirs`;
  await page.goto(answer);
  await expect(page.getByRole('button', { name: /Sign in at/ })).toBeVisible();
  await page.evaluate(async () => {
    const response = await fetch('/desk/sign-in.json');
    const { oidc } = (await response.json()) as { oidc: object };
    const verifier = 'v'.repeat(43);
    const pending = { client: oidc, state: 'mine', verifier, page: '/desk/' };
    sessionStorage.setItem('kampanje.signIn', JSON.stringify(pending));
  });
  await page.goto(answer);
  await expect(page.getByText('The sign-in failed.')).toBeVisible();
  expect(await page.evaluate(() => sessionStorage.getItem('kampanje.token'))).toBeNull();
});
