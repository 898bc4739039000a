/** Approval by a second person, and the audit log of what both did. */
import type { Page } from '@playwright/test';
import { Kampanje, type Role } from '@kampanje/client';
import { BOOTSTRAP_KEY } from './services.ts';
import { expect, keyedUrl, picture, settled, signIn, test } from './support.ts';

const admin = () => new Kampanje({ baseUrl: keyedUrl(), apiKey: BOOTSTRAP_KEY });

test.use({ provoked: /40[13]|422/ });

/** A campaign of the planner that is ready to be activated, in a company that demands approvals. */
async function planned(campaign: string) {
  const k = admin();
  await k.settings.update({ approvalRequired: 'ALWAYS' }, { ifMatch: '*' });
  const person = async (name: string, role: Role) =>
    (await k.apiKeys.create({ name: `${name} of ${campaign}`, roles: [role] })).secret;
  const planner = await person('Planner', 'PRICING');
  const p = new Kampanje({ baseUrl: keyedUrl(), apiKey: planner });
  await p.items.batch({
    rows: [{ number: `STOVE-${campaign}`, listPrice: '100', unitCost: '50' }],
  });
  await p.contacts.batch({
    rows: [{ number: 'ACME', type: 'COMPANY', name: 'Acme', customer: { number: '1' } }],
  });
  await p.campaigns.create({
    number: campaign,
    description: 'Second opinion',
    startingDate: '2031-01-01',
    endingDate: '2031-12-31',
  });
  await p.segments.create({
    number: `S-${campaign}`,
    campaignNumber: campaign,
    campaignTarget: true,
  });
  await p.segmentLines.create(`S-${campaign}`, { contactNumber: 'ACME' });
  await p.campaignPrices.create(campaign, { itemNumber: `STOVE-${campaign}`, unitPrice: '90' });
  return { planner, approver: await person('Approver', 'APPROVER'), p };
}

async function plan(page: Page, campaign: string, secret: string): Promise<void> {
  await signIn(page, `/campaigns/${campaign}/activation`, secret);
  await expect(page.getByRole('button', { name: 'Publish…' })).toHaveCount(0);
  await settled(page);
}

test.afterEach(async () => {
  await admin().settings.update({ approvalRequired: 'NEVER' }, { ifMatch: '*' });
});

test('a plan is rejected, changed, approved by a second person and activated', async ({ page }) => {
  test.setTimeout(120_000);
  const campaign = `A${Date.now().toString(36).toUpperCase()}`;
  const { planner, approver, p } = await planned(campaign);

  await plan(page, campaign, planner);
  await expect(page.getByText('This plan needs the approval of a second person.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Activate', exact: true })).toHaveCount(0);
  await page.getByRole('button', { name: 'Request approval…' }).click();
  await page.getByLabel('Comment').fill('As agreed with the vendor of the stoves.');
  await page.getByRole('button', { name: 'Request approval', exact: true }).click();
  await expect(page.getByText('You requested it. Somebody else has to decide.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Approve', exact: true })).toHaveCount(0);

  await signIn(page, '/approvals', approver);
  await expect(page.getByText('As agreed with the vendor of the stoves.').first()).toBeVisible();
  await page.getByRole('link', { name: campaign }).click();
  await expect(page.getByText('Your role lacks campaigns:activate.')).toBeVisible();
  const prices = page.getByRole('region', { name: 'Prices that change' });
  await expect(prices.getByRole('row', { name: /ACME STOVE/ })).toContainText('90.00');
  await settled(page);
  await picture(page, 'approval');
  await page.getByLabel('Reason').fill('Ninety is too much.');
  await page.getByRole('button', { name: 'Reject', exact: true }).click();
  await expect(page.getByText('Ninety is too much.')).toBeVisible();
  await expect(page.getByText('Rejected', { exact: true })).toBeVisible();

  await p.campaignPrices.batch(campaign, {
    rows: [{ itemNumber: `STOVE-${campaign}`, unitPrice: '85' }],
  });
  await plan(page, campaign, planner);
  await page.getByRole('button', { name: 'Request approval…' }).click();
  await page.getByRole('button', { name: 'Request approval', exact: true }).click();
  await expect(page.getByText('The plan waits for a decision.')).toBeVisible();

  await plan(page, campaign, approver);
  await page.getByRole('button', { name: 'Approve', exact: true }).click();
  await expect(page.getByText('Approved', { exact: true })).toBeVisible();

  await plan(page, campaign, planner);
  for (const known of await page.getByRole('checkbox', { name: 'I know' }).all())
    await known.check();
  await page.getByRole('button', { name: 'Activate', exact: true }).click();
  await expect(page.getByText('The campaign is active.')).toBeVisible();
  const [used] = await p.approvalRequests
    .list({ filter: `campaignNumber eq '${campaign}' and state eq 'APPROVED'` })
    .take(1);
  expect(used?.publicationVersion).toBe((await p.campaigns.get(campaign)).publicationVersion);

  // The audit log has the decision, and is shown to administrators only.
  await signIn(page, '/setup/audit-log', BOOTSTRAP_KEY);
  await page.getByRole('searchbox', { name: 'Search' }).fill(campaign);
  const entries = (operation: string) =>
    page.getByRole('row').filter({ hasText: campaign }).filter({ hasText: operation });
  await expect(entries('reject_request')).toHaveCount(1);
  await expect(entries('approve_request')).toHaveCount(1);
  await page.getByRole('button', { name: 'Publications' }).click();
  await expect(entries('approve_request')).toHaveCount(0);
  await expect(entries('activate_campaign')).toHaveCount(1);
  await signIn(page, '/setup/audit-log', planner);
  await expect(page.getByText('You cannot see this page')).toBeVisible();
});

test('nobody approves a plan that they have changed', async ({ page }) => {
  const campaign = `B${Date.now().toString(36).toUpperCase()}`;
  const { approver, p } = await planned(campaign);
  const both = await admin().apiKeys.create({
    name: `Both of ${campaign}`,
    roles: ['PRICING', 'APPROVER'],
  });
  const other = new Kampanje({ baseUrl: keyedUrl(), apiKey: both.secret });
  await other.campaigns.update(campaign, { description: 'Changed by both' }, { ifMatch: '*' });
  await p.campaignApprovalRequests.requestApproval(campaign, {});
  await plan(page, campaign, both.secret);
  await page.getByRole('button', { name: 'Approve', exact: true }).click();
  await expect(page.getByText('Somebody else has to approve')).toBeVisible();
  await plan(page, campaign, approver);
  await page.getByRole('button', { name: 'Approve', exact: true }).click();
  await expect(page.getByText('Approved', { exact: true })).toBeVisible();
});
