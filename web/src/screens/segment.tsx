import { Button } from '@fluentui/react-components';
import { ArrowUndoRegular, DeleteRegular, SaveRegular } from '@fluentui/react-icons';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { all, api, quoted, type Stored } from '../api.ts';
import { useParam } from '../app/params.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { t, tcode, tn } from '../lib/i18n.ts';
import type { Contact, CriteriaActionWrite, Segment, SegmentLine } from '@kampanje/client';
import { Empty, Fact, FactBox, FastTab, Guard, Lacks, Loading, PageHead } from '../ui/basics.tsx';
import { Bars } from '../ui/charts.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { CheckField, ChoiceField, EditField, Labeled, fieldText } from '../ui/fields.tsx';
import { Lookup } from '../ui/lookup.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { useRecord } from '../ui/record.tsx';
import { DataTable, ExportMenu, type Column } from '../ui/table.tsx';

export function SegmentCard() {
  const number = useParam('number') ?? '';
  return (
    <Guard scope="contacts:read">
      <Card key={number} number={number} />
    </Guard>
  );
}

const MAX_LINES = 100_000;
const CONTACTS_PER_REQUEST = 50;

async function readContacts(
  numbers: string[],
  signal?: AbortSignal,
): Promise<Map<string, Contact>> {
  const found = new Map<string, Contact>();
  for (let at = 0; at < numbers.length; at += CONTACTS_PER_REQUEST) {
    const some = numbers.slice(at, at + CONTACTS_PER_REQUEST);
    const filter = `number in (${some.map(quoted).join(',')})`;
    const page = await api.contacts.list({ filter, top: CONTACTS_PER_REQUEST }, signal);
    for (const contact of page.value) found.set(contact.number, contact);
  }
  return found;
}

function Card({ number }: { number: string }) {
  const can = useCan();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [open, setOpen] = useState<'log' | 'delete' | null>(null);
  const [followUp, setFollowUp] = useState(false);
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ['segments'] });
    void client.invalidateQueries({ queryKey: ['plan'] });
  };
  const record = useRecord<Segment>({
    queryKey: ['segments', 'card', number],
    get: (signal) => api.segments.get(number, signal),
    update: (patch, etag) => api.segments.update(number, patch, etag),
    onSaved: refresh,
  });
  const segment = record.query.data;
  const path = [{ to: '/segments', text: t('nav.segments') }];
  if (!segment) {
    return (
      <>
        <PageHead title={number} path={path} />
        {record.query.isError ? (
          <ProblemView error={record.query.error} retry={() => void record.query.refetch()} />
        ) : (
          <Loading rows={10} />
        )}
      </>
    );
  }
  const write = can('contacts:write');
  const text = (field: keyof Segment) => ({
    value: fieldText(segment[field]),
    disabled: !write,
    error: record.errorAt(`/${field}`),
    onSave: (value: string) =>
      void record.save({
        [field]:
          value ||
          (field === 'description' || field === 'subject' || field === 'filter' ? '' : null),
      }),
  });
  const isRule = segment.membership === 'RULE';
  return (
    <>
      <PageHead
        title={segment.description || segment.number}
        here={segment.number}
        path={path}
        actions={
          write && (
            <>
              {!isRule && <Button onClick={() => setOpen('log')}>{t('segment.log')}</Button>}
              <Button icon={<DeleteRegular />} onClick={() => setOpen('delete')}>
                {t('campaign.delete')}
              </Button>
            </>
          )
        }
      />
      <Lacks scope="contacts:write" />
      {record.error !== null && !record.hasFieldErrors && <ProblemView error={record.error} />}
      <div className="with-facts">
        <div className="card-main">
          <FastTab title={t('campaign.general')}>
            <div className="fields">
              <EditField
                label={t('campaign.description')}
                maxLength={100}
                {...text('description')}
              />
              <EditField
                label={t('campaign.campaign')}
                lookup="campaigns"
                {...text('campaignNumber')}
              />
              <EditField
                label={t('campaign.salesperson')}
                lookup="salespeople"
                {...text('salespersonCode')}
              />
              <EditField
                label={t('segment.template')}
                lookup="templates"
                {...text('interactionTemplateCode')}
              />
              <EditField label={t('segment.subject')} maxLength={100} {...text('subject')} />
              <ChoiceField
                label={t('segment.membership')}
                value={segment.membership}
                choices={['LIST', 'RULE'].map((value) => ({
                  value,
                  text: tcode('membership', value),
                }))}
                disabled={!write}
                error={record.errorAt('/membership')}
                hint={tcode('membershipHint', segment.membership)}
                onSave={(membership) => void record.save({ membership })}
              />
            </div>
            <p className="checks">
              <CheckField
                label={t('segment.targets')}
                checked={segment.campaignTarget}
                disabled={!write}
                onSave={(campaignTarget) => void record.save({ campaignTarget })}
              />
              <CheckField
                label={t('segment.responses')}
                checked={segment.campaignResponse}
                disabled={!write}
                onSave={(campaignResponse) => void record.save({ campaignResponse })}
              />
            </p>
          </FastTab>
          {isRule ? (
            <FastTab title={t('segment.rule')}>
              <EditField
                label={t('segment.filter')}
                hint={t('segment.filterHint')}
                {...text('filter')}
              />
              <RuleMatches filter={segment.filter} />
            </FastTab>
          ) : (
            <>
              <Criteria number={number} write={write} onChanged={refresh} />
              <Lines number={number} write={write} onChanged={refresh} />
            </>
          )}
        </div>
        <aside className="facts" aria-label={t('common.facts')}>
          {segment.campaignNumber && (
            <FactBox title={t('campaign.campaign')}>
              <p>
                <Link to="/campaigns/$number" params={{ number: segment.campaignNumber }}>
                  {segment.campaignNumber}
                </Link>
              </p>
              <p>
                <Link to="/campaigns/$number/audience" params={{ number: segment.campaignNumber }}>
                  {t('campaign.audience')}
                </Link>
              </p>
            </FactBox>
          )}
          {!isRule && <Steps number={number} />}
        </aside>
      </div>
      {record.dialog}
      <ActionDialog
        open={open === 'log'}
        title={t('segment.logTitle')}
        action={t('segment.logAction')}
        onClose={() => setOpen(null)}
        onAction={async () => {
          const log = await api.segments.log(number, followUp);
          await client.invalidateQueries();
          const next = log.followUpSegmentNumber;
          if (next) await navigate({ to: '/segments/$number', params: { number: next } });
          else await navigate({ to: '/work', search: { view: 'logged' } });
        }}
      >
        <p>{t('segment.logText')}</p>
        <CheckField label={t('segment.followUp')} checked={followUp} onSave={setFollowUp} />
      </ActionDialog>
      <ActionDialog
        open={open === 'delete'}
        title={t('segment.deleteTitle', { name: segment.description || number })}
        action={t('campaign.delete')}
        onClose={() => setOpen(null)}
        onAction={async () => {
          await api.segments.remove(number, segment.etag);
          await navigate({ to: '/segments' });
          refresh();
        }}
      >
        {t('segment.deleteText')}
      </ActionDialog>
    </>
  );
}

function RuleMatches({ filter }: { filter: string }) {
  const matches = useQuery({
    queryKey: ['contacts', 'rule', filter],
    queryFn: ({ signal }) =>
      api.contacts.list({ top: 10, count: true, ...(filter && { filter }) }, signal),
  });
  if (matches.isError) return <ProblemView error={matches.error} />;
  return (
    <p className="muted" role="status">
      {matches.data &&
        `${tn('segment.matches', matches.data.count ?? 0)}: ${matches.data.value.map(({ number }) => number).join(', ')}${matches.data.nextLink ? ' …' : ''}`}
    </p>
  );
}

/** Adds and removes contacts by criteria, and goes back. */
function Criteria(props: { number: string; write: boolean; onChanged: () => void }) {
  const { number } = props;
  const [criteria, setCriteria] = useState<CriteriaActionWrite>({ action: 'ADD', filter: '' });
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [saved, setSaved] = useState('');
  const [saving, setSaving] = useState(false);
  const [fields, setFields] = useState({ code: '', description: '' });
  const actions = useQuery({
    queryKey: ['segments', 'actions', number],
    queryFn: ({ signal }) =>
      api.segments.actions(number, { orderby: 'position', top: 100 }, signal),
  });
  const preview = useQuery({
    queryKey: ['segments', 'preview', number, criteria],
    queryFn: ({ signal }) => api.segments.preview(number, criteria, signal),
    enabled: props.write && criteria.filter !== '',
    placeholderData: (previous) => previous,
    retry: false,
  });
  const run = async (action: () => Promise<unknown>) => {
    setBusy(true);
    setError(null);
    try {
      await action();
      props.onChanged();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  const option = (
    name:
      | 'allowExisting'
      | 'expandCompanies'
      | 'relatedCompanies'
      | 'entireCompanies'
      | 'ignoreExclusion',
  ) => (
    <CheckField
      label={t(`criteria.${name}`)}
      checked={criteria[name] ?? false}
      onSave={(value) => setCriteria((old) => ({ ...old, [name]: value }))}
    />
  );
  const rows = actions.data?.value ?? [];
  return (
    <FastTab title={t('criteria.title')}>
      {actions.isError && <ProblemView error={actions.error} />}
      {rows.length > 0 && (
        <ol className="rows">
          {rows.map((row) => (
            <li key={row.id}>
              <b>{tcode('criteriaAction', row.action)}</b>
              <code className="grow">{row.filter || t('criteria.all')}</code>
              <span className="muted">
                {row.action === 'ADD'
                  ? tn('criteria.added', row.linesAdded)
                  : tn('criteria.removed', row.linesRemoved)}
              </span>
            </li>
          ))}
        </ol>
      )}
      {error !== null && <ProblemView error={error} />}
      {props.write && (
        <>
          <div className="fields criteria">
            <ChoiceField
              label={t('criteria.action')}
              value={criteria.action}
              choices={['ADD', 'REDUCE', 'REFINE'].map((value) => ({
                value,
                text: tcode('criteriaAction', value),
              }))}
              hint={tcode('criteriaHint', criteria.action)}
              onSave={(action) =>
                setCriteria((old) => ({
                  ...old,
                  action: action as CriteriaActionWrite['action'],
                }))
              }
            />
            <EditField
              label={t('segment.filter')}
              value={criteria.filter}
              hint={t('segment.filterHint')}
              onSave={(filter) => setCriteria((old) => ({ ...old, filter }))}
            />
          </div>
          <p className="checks">
            {option('expandCompanies')} {option('relatedCompanies')} {option('entireCompanies')}{' '}
            {option('allowExisting')} {option('ignoreExclusion')}
          </p>
          {preview.isError && criteria.filter && <ProblemView error={preview.error} />}
          {preview.data && criteria.filter && !preview.isError && (
            <p role="status">
              {t('criteria.preview', {
                before: format.quantity(preview.data.linesBefore),
                after: format.quantity(preview.data.linesAfter),
                added: format.quantity(preview.data.linesAdded),
                removed: format.quantity(preview.data.linesRemoved),
              })}
            </p>
          )}
          <div className="add-row">
            <Button
              appearance="primary"
              disabled={busy || !criteria.filter}
              onClick={() =>
                void run(async () => {
                  await api.segments.act(number, criteria);
                  setCriteria({ action: 'ADD', filter: '' });
                })
              }
            >
              {t('criteria.apply')}
            </Button>
            <Button
              icon={<ArrowUndoRegular />}
              disabled={busy || rows.length === 0}
              onClick={() => void run(() => api.segments.goBack(number))}
            >
              {t('criteria.goBack')}
            </Button>
            <Button
              icon={<SaveRegular />}
              disabled={rows.length === 0}
              onClick={() => setSaving(true)}
            >
              {t('criteria.save')}
            </Button>
            <Lookup
              source="savedCriteria"
              label={t('criteria.replay')}
              placeholder={t('criteria.replay')}
              value={saved}
              onChange={setSaved}
              onChoose={(code) =>
                void run(async () => {
                  await api.segments.replay(number, code);
                  setSaved('');
                })
              }
            />
          </div>
        </>
      )}
      <ActionDialog
        open={saving}
        title={t('criteria.save')}
        action={t('criteria.saveAction')}
        ready={fields.code !== ''}
        onClose={() => setSaving(false)}
        onAction={async () => {
          await api.savedCriteria.create({ ...fields, segmentNumber: number });
          setSaving(false);
        }}
      >
        <div className="fields">
          <EditField
            label={t('criteria.code')}
            kind="key"
            value={fields.code}
            onSave={(code) => setFields((old) => ({ ...old, code }))}
          />
          <EditField
            label={t('campaign.description')}
            value={fields.description}
            onSave={(description) => setFields((old) => ({ ...old, description }))}
          />
        </div>
      </ActionDialog>
    </FastTab>
  );
}

/** The size of the segment after each criteria action. */
function Steps({ number }: { number: string }) {
  const actions = useQuery({
    queryKey: ['segments', 'actions', number],
    queryFn: ({ signal }) =>
      api.segments.actions(number, { orderby: 'position', top: 100 }, signal),
  });
  const rows = actions.data?.value ?? [];
  if (rows.length === 0) return null;
  const sizes = rows.reduce<number[]>(
    (sofar, row) => [...sofar, (sofar[sofar.length - 1] ?? 0) + row.linesAdded - row.linesRemoved],
    [],
  );
  return (
    <FactBox title={t('criteria.steps')}>
      <Bars
        label={t('criteria.steps')}
        heads={[t('criteria.action'), t('segment.lines')]}
        bars={rows.map((row, index) => ({
          label: `${String(row.position)} ${tcode('criteriaAction', row.action)}`,
          value: sizes[index] ?? 0,
          shown: format.quantity(sizes[index] ?? 0),
        }))}
      />
    </FactBox>
  );
}

const targetChoices = () => [
  { value: '', text: t('segment.asSegment') },
  { value: 'true', text: t('common.yes') },
  { value: 'false', text: t('common.no') },
];

/** The contacts of a segment. */
function Lines(props: { number: string; write: boolean; onChanged: () => void }) {
  const { number } = props;
  const lines = api.segmentLines(number);
  const [picked, setPicked] = useState('');
  const [error, setError] = useState<unknown>(null);
  const rows = useQuery({
    queryKey: ['segments', 'lines', number],
    queryFn: ({ signal }) =>
      all((query) => lines.list(query, signal), { orderby: 'contactNumber' }, MAX_LINES),
  });
  const loaded: Stored<SegmentLine>[] = rows.data ?? [];
  // Names are read for what fits on some screens; numbers suffice beyond.
  const shown = loaded.slice(0, 1000).map(({ contactNumber }) => contactNumber);
  const contacts = useQuery({
    queryKey: ['contacts', 'names', shown],
    queryFn: ({ signal }) => readContacts(shown, signal),
    enabled: shown.length > 0,
    placeholderData: (previous) => previous,
    staleTime: 60_000,
  });
  const run = async (action: () => Promise<unknown>) => {
    setError(null);
    try {
      await action();
      props.onChanged();
    } catch (refused) {
      setError(refused);
    }
  };
  const add = (key: string) =>
    run(async () => {
      await lines.create({ contactNumber: key.trim().toUpperCase() });
      setPicked('');
    });
  const contact = (row: SegmentLine) => contacts.data?.get(row.contactNumber);
  const columns: Column<Stored<SegmentLine>>[] = [
    {
      id: 'contact',
      title: t('contact.contact'),
      cell: (row) => (
        <Link to="/contacts/$number" params={{ number: row.contactNumber }}>
          {row.contactNumber}
        </Link>
      ),
      text: (row) => row.contactNumber,
    },
    {
      id: 'name',
      title: t('contact.name'),
      cell: (row) => contact(row)?.name ?? '',
      text: (row) => contact(row)?.name ?? '',
    },
    {
      id: 'company',
      title: t('contact.company'),
      cell: (row) => contact(row)?.companyNumber ?? '',
      text: (row) => contact(row)?.companyNumber ?? '',
    },
    {
      id: 'note',
      title: t('contact.note'),
      cell: (row) =>
        contact(row)?.privacyBlocked ? (
          <span className="tone-warn">{t('contact.privacyBlocked')}</span>
        ) : contact(row)?.excludeFromSegments ? (
          <span className="tone-warn">{t('contact.excluded')}</span>
        ) : (
          ''
        ),
    },
    {
      id: 'target',
      title: t('segment.target'),
      cell: (row) => (
        <select
          className="input"
          aria-label={`${t('segment.target')} ${row.contactNumber}`}
          disabled={!props.write}
          value={row.campaignTarget == null ? '' : String(row.campaignTarget)}
          onChange={(event) => {
            const { value } = event.target;
            void run(() =>
              lines.update(
                row.id,
                { campaignTarget: value === '' ? null : value === 'true' },
                row.etag,
              ),
            );
          }}
        >
          {targetChoices().map(({ value, text }) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      ),
      text: (row) => (row.campaignTarget == null ? '' : String(row.campaignTarget)),
    },
  ];
  if (props.write) {
    columns.push({
      id: 'remove',
      title: '',
      cell: (row) => (
        <Button
          size="small"
          appearance="subtle"
          icon={<DeleteRegular />}
          aria-label={t('segment.removeLine', { contact: row.contactNumber })}
          onClick={() => void run(() => lines.remove(row.id, row.etag))}
        />
      ),
    });
  }
  return (
    <FastTab title={t('segment.lines')}>
      {rows.isError && <ProblemView error={rows.error} retry={() => void rows.refetch()} />}
      {error !== null && <ProblemView error={error} />}
      {rows.isPending && <Loading />}
      {rows.isSuccess && loaded.length === 0 && (
        <Empty title={t('segment.noLines')}>{t('segment.noLinesHint')}</Empty>
      )}
      {loaded.length > 0 && (
        <DataTable
          label={t('segment.lines')}
          columns={columns}
          rows={loaded}
          rowKey={(row) => row.id}
        />
      )}
      <div className="add-row">
        {props.write && (
          <Labeled label={t('segment.addContact')}>
            {({ id }) => (
              <Lookup
                id={id}
                source="contacts"
                value={picked}
                onChange={setPicked}
                onChoose={(key) => void add(key)}
                onKeyDown={(event) => {
                  if (event.key === 'Enter' && picked.trim()) void add(picked);
                }}
              />
            )}
          </Labeled>
        )}
        <Fact name="">{rows.isSuccess && tn('segment.lineCount', loaded.length)}</Fact>
        {loaded.length > 0 && (
          <ExportMenu name={`segment-${number}`} columns={columns} rows={() => loaded} />
        )}
      </div>
    </FastTab>
  );
}
