import { Button, MessageBar, MessageBarBody, MessageBarTitle } from '@fluentui/react-components';
import {
  ArrowUploadRegular,
  CheckmarkCircleRegular,
  DismissCircleRegular,
  DocumentRegular,
} from '@fluentui/react-icons';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useEffect, useId, useRef, useState } from 'react';
import { api, ApiError, type ImportRequest } from '../api.ts';
import { useParam } from '../app/params.ts';
import { queries } from '../app/queries.ts';
import { useCan } from '../app/session.tsx';
import * as format from '../lib/format.ts';
import { saveFile } from '../lib/export.ts';
import { hasText, t, tcode, tn } from '../lib/i18n.ts';
import {
  ACCEPTED,
  fileType,
  findTarget,
  isRunning,
  resourceOf,
  TARGETS,
  XLSX,
  type Target,
} from '../lib/imports.ts';
import type { Import, ImportError, ImportState, Open } from '@kampanje/client';
import { Empty, Fact, FactBox, Lacks, Loading, PageHead, Tile } from '../ui/basics.tsx';
import { ActionDialog } from '../ui/dialogs.tsx';
import { CheckField, ChoiceField, EditField } from '../ui/fields.tsx';
import { FindingRow } from '../ui/findings.tsx';
import { ListPage, useAddress } from '../ui/list.tsx';
import { ProblemView } from '../ui/problem.tsx';
import { SetupFrame } from '../ui/setup.tsx';
import { DataTable, ExportMenu, type Column } from '../ui/table.tsx';

const POLL_INTERVAL_MS = 500;
/** The interval at which errors are read while further rows are written. */
const ERRORS_INTERVAL_MS = 5_000;

/** The file of the latest dry run, so that it can be imported without choosing it again. */
let checked: { id: string; request: ImportRequest } | undefined;

/** The name of a collection, with that of its parent. */
function resourceText(resource: string): string {
  const found = findTarget(resource);
  if (!found) return resource;
  const name = t(found.target.title);
  return found.parent ? `${name} · ${found.parent}` : name;
}

function ImportBadge({ state }: { state: Open<ImportState> }) {
  return (
    <span className={`import-state import-${state.toLowerCase()}`}>
      {tcode('importState', state)}
    </span>
  );
}

const columns = (): Column<Import>[] => [
  {
    id: 'createdAt',
    title: t('imports.at'),
    sort: 'createdAt',
    cell: (row) => (
      <Link to="/setup/imports/$id" params={{ id: row.id }} className="nowrap">
        {format.second(row.createdAt)}
      </Link>
    ),
    text: (row) => row.createdAt,
  },
  {
    id: 'resource',
    title: t('imports.resource'),
    sort: 'resource',
    cell: (row) => resourceText(row.resource),
    text: (row) => row.resource,
  },
  {
    id: 'state',
    title: t('campaign.state'),
    sort: 'state',
    cell: (row) => (
      <>
        <ImportBadge state={row.state} />{' '}
        {row.validateOnly && <span className="muted">{t('imports.dryRun')}</span>}
      </>
    ),
    text: (row) => row.state,
  },
  {
    id: 'format',
    title: t('imports.format'),
    sort: 'format',
    cell: (row) => row.format,
    text: (row) => row.format,
  },
  {
    id: 'read',
    title: t('imports.read'),
    right: true,
    cell: (row) => format.quantity(row.rowsRead),
    text: (row) => String(row.rowsRead),
  },
  {
    id: 'written',
    title: t('imports.written'),
    right: true,
    cell: (row) => format.quantity(row.rowsWritten),
    text: (row) => String(row.rowsWritten),
  },
  {
    id: 'failed',
    title: t('imports.refused'),
    sort: 'rowsFailed',
    right: true,
    cell: (row) => (
      <span className={row.rowsFailed > 0 ? 'tone-bad' : undefined}>
        {format.quantity(row.rowsFailed)}
      </span>
    ),
    text: (row) => String(row.rowsFailed),
  },
  {
    id: 'by',
    title: t('audit.subject'),
    sort: 'createdBy',
    cell: (row) => row.createdBy,
    text: (row) => row.createdBy,
  },
];

/** A form that sends a file, and the imports of the last days. */
export function Imports() {
  return (
    <SetupFrame part="imports">
      <ImportForm />
      <h2 className="above-list">{t('imports.latest')}</h2>
      <ListPage
        bare
        title={t('imports.latest')}
        name="imports"
        list={api.imports.list}
        columns={columns()}
        rowKey={(row) => row.id}
        searched={{ texts: ['resource', 'createdBy'] }}
        views={[
          { id: 'all', text: t('campaigns.all'), filter: '' },
          {
            id: 'running',
            text: t('importState.RUNNING'),
            filter: "state in ('RECEIVING','RUNNING')",
          },
          { id: 'refused', text: t('imports.withErrors'), filter: 'rowsFailed gt 0' },
        ]}
        defaultOrder={{ field: 'createdAt', descending: true }}
        changes={(row) => isRunning(row.state)}
        emptyText={t('imports.none')}
        emptyHint={t('imports.noneHint')}
        counted={(count) => tn('imports.count', count)}
      />
    </SetupFrame>
  );
}

function ImportForm() {
  const can = useCan();
  const navigate = useNavigate();
  const [search, change] = useAddress();
  const [file, setFile] = useState<File | null>(null);
  const [options, setOptions] = useState({
    mode: 'MERGE',
    encoding: '',
    separator: '',
    decimalMark: '',
  });
  const [atomic, setAtomic] = useState(false);
  const [sent, setSent] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const sending = useRef<AbortController>(null);
  useEffect(() => () => sending.current?.abort(), []);

  const offered = TARGETS.filter(({ scope }) => can(scope));
  const found = findTarget(search.resource ?? '');
  const target = found && offered.includes(found.target) ? found.target : offered[0];
  if (!target) return <Lacks scope="catalog:write" />;
  const parent = found?.target === target ? found.parent : '';
  const type = file && fileType(file.name);
  const resource = resourceOf(target, parent);
  const isComplete = !target.parent || parent !== '';

  const send = async (validateOnly: boolean) => {
    if (!file || !type) return;
    setError(null);
    setSent(0);
    const controller = new AbortController();
    sending.current = controller;
    const request: ImportRequest = {
      file,
      ...type,
      query: {
        ...options,
        resource,
        mode: target.isAppendOnly ? '' : options.mode,
        atomic: String(atomic),
        validateOnly: String(validateOnly),
      },
    };
    try {
      const started = await api.imports.start(request, setSent, controller.signal);
      checked = validateOnly ? { id: started.id, request } : undefined;
      void queries.invalidateQueries({ queryKey: ['imports'] });
      await navigate({ to: '/setup/imports/$id', params: { id: started.id } });
    } catch (refused) {
      if (!controller.signal.aborted) setError(refused);
      setSent(null);
    }
  };

  const choice = (field: keyof typeof options, group: string, values: string[]) => ({
    value: options[field],
    choices: values.map((value) => ({
      value,
      text: value ? tcode(group, value) : t('imports.detected'),
    })),
    onSave: (value: string) => setOptions((old) => ({ ...old, [field]: value })),
  });
  return (
    <section className="card" aria-busy={sent !== null}>
      <h2>{t('imports.new')}</h2>
      <div className="fields">
        <ChoiceField
          label={t('imports.resource')}
          value={target.path}
          choices={offered.map(({ path, title }) => ({ value: path, text: t(title) }))}
          onSave={(path) => change({ resource: path })}
        />
        {target.parent && (
          <EditField
            key={target.path}
            label={t(target.parent.title)}
            lookup={target.parent.lookup}
            value={parent === '{}' ? '' : parent}
            onSave={(number) => change({ resource: resourceOf(target, number || '{}') })}
          />
        )}
        {!target.isAppendOnly && (
          <ChoiceField
            label={t('imports.mode')}
            hint={tcode('importModeHint', options.mode)}
            {...choice('mode', 'importMode', ['MERGE', 'REPLACE'])}
          />
        )}
      </div>
      <FileField file={file} onChoose={setFile} />
      {file && !type && (
        <p className="field-error" role="alert">
          {t('imports.badFile')}
        </p>
      )}
      {type?.contentType === 'text/csv' && (
        <div className="fields fields-many">
          <ChoiceField
            label={t('imports.separator')}
            {...choice('separator', 'separator', ['', 'COMMA', 'SEMICOLON', 'TAB', 'PIPE'])}
          />
          <ChoiceField
            label={t('imports.decimalMark')}
            {...choice('decimalMark', 'decimalMark', ['', 'POINT', 'COMMA'])}
          />
          <ChoiceField
            label={t('imports.encoding')}
            {...choice('encoding', 'encoding', ['', 'UTF-8', 'WINDOWS-1252'])}
          />
        </div>
      )}
      <p className="checks">
        <CheckField label={t('imports.atomic')} checked={atomic} onSave={setAtomic} />
      </p>
      {error !== null && <ProblemView error={error} />}
      {sent !== null && file ? (
        <div className="progress">
          <Progress label={t('imports.sending')} value={sent} max={file.size} />
          <span className="muted">
            {t('imports.sent', { sent: format.bytes(sent), size: format.bytes(file.size) })}
          </span>
          <Button onClick={() => sending.current?.abort()}>{t('common.cancel')}</Button>
        </div>
      ) : (
        <div className="actions">
          <Button
            appearance="primary"
            disabled={!type || !isComplete}
            onClick={() => void send(true)}
          >
            {t('imports.check')}
          </Button>
          <Button disabled={!type || !isComplete} onClick={() => void send(false)}>
            {t('imports.import')}
          </Button>
          <CurrentRows target={target} resource={isComplete ? resource : undefined} />
        </div>
      )}
    </section>
  );
}

/** A progress bar that names itself. */
function Progress(props: { label: string; value?: number | undefined; max: number }) {
  return (
    <progress
      aria-label={props.label}
      max={Math.max(props.max, 1)}
      {...(props.value !== undefined && { value: props.value })}
    />
  );
}

/** A file that is chosen or dropped. */
function FileField(props: { file: File | null; onChoose: (file: File | null) => void }) {
  const id = useId();
  const [over, setOver] = useState(false);
  return (
    <div
      className={`drop ${over ? 'drop-over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const dropped = event.dataTransfer.files[0];
        if (dropped) props.onChoose(dropped);
      }}
    >
      <input
        id={id}
        type="file"
        className="drop-input"
        accept={ACCEPTED}
        aria-describedby={`${id}-hint`}
        onChange={(event) => props.onChoose(event.target.files?.[0] ?? null)}
      />
      <label htmlFor={id} className="drop-button">
        <ArrowUploadRegular /> {t('imports.choose')}
      </label>
      {props.file ? (
        <span className="drop-file">
          <DocumentRegular /> {props.file.name}{' '}
          <span className="muted">{format.bytes(props.file.size)}</span>
        </span>
      ) : (
        <span className="muted">{t('imports.drop')}</span>
      )}
      <span id={`${id}-hint`} className="field-hint">
        {t('imports.formats')}
      </span>
    </div>
  );
}

/** Offers the rows of a collection as a file that can be changed and imported. */
function CurrentRows({ target, resource }: { target: Target; resource: string | undefined }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const save = async () => {
    if (resource === undefined) return;
    setBusy(true);
    setError(null);
    try {
      saveFile(`${resource.replaceAll('/', '-')}.xlsx`, await api.imports.exported(resource, XLSX));
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  if (target.isAppendOnly) return null;
  return (
    <>
      <Button
        appearance="subtle"
        disabled={busy || resource === undefined}
        onClick={() => void save()}
      >
        {t('imports.current')}
      </Button>
      {error !== null && <ProblemView error={error} />}
    </>
  );
}

/** The progress of an import, its result and its errors. */
export function ImportCard() {
  const id = useParam('id') ?? '';
  const navigate = useNavigate();
  const can = useCan();
  const [canceling, setCanceling] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const query = useQuery({
    queryKey: ['imports', id],
    queryFn: ({ signal }) => api.imports.get(id, signal),
    refetchInterval: ({ state }) =>
      state.data === undefined || isRunning(state.data.state) ? POLL_INTERVAL_MS : false,
  });
  const path = [
    { to: '/setup', text: t('nav.setup') },
    { to: '/setup/imports', text: t('imports.title') },
  ];
  const row = query.data;
  // Written rows appear on other pages.
  const finishedAt = row?.finishedAt;
  useEffect(() => {
    if (finishedAt)
      void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[1] !== id });
  }, [finishedAt, id]);
  if (!row) {
    return (
      <>
        <PageHead title={t('imports.single')} path={path} />
        {query.isError ? <ProblemView error={query.error} /> : <Loading rows={8} />}
      </>
    );
  }
  const running = isRunning(row.state);
  const again = checked?.id === id && row.state === 'SUCCEEDED' ? checked.request : undefined;
  const scope = findTarget(row.resource)?.target.scope;
  const importNow = async (request: ImportRequest) => {
    setError(null);
    const signal = new AbortController().signal;
    try {
      const started = await api.imports.start(
        { ...request, query: { ...request.query, validateOnly: 'false' } },
        () => undefined,
        signal,
      );
      checked = undefined;
      await navigate({ to: '/setup/imports/$id', params: { id: started.id } });
    } catch (refused) {
      setError(refused);
    }
  };
  return (
    <>
      <PageHead
        title={t(row.validateOnly ? 'imports.checkOf' : 'imports.importOf', {
          resource: resourceText(row.resource),
        })}
        here={format.second(row.createdAt)}
        badge={<ImportBadge state={row.state} />}
        path={path}
        actions={
          <>
            {running && (!scope || can(scope)) && (
              <Button icon={<DismissCircleRegular />} onClick={() => setCanceling(true)}>
                {t('imports.cancel')}
              </Button>
            )}
            {again && (
              <Button
                appearance="primary"
                icon={<ArrowUploadRegular />}
                onClick={() => void importNow(again)}
              >
                {row.rowsFailed > 0 ? t('imports.importValid') : t('imports.importNow')}
              </Button>
            )}
          </>
        }
      />
      {error !== null && <ProblemView error={error} />}
      {running ? <Running row={row} /> : <Outcome row={row} />}
      <div className="with-facts">
        <div>
          <div className="tiles">
            <Tile label={t('imports.read')} value={format.quantity(row.rowsRead)} />
            <Tile
              label={t(row.validateOnly ? 'imports.wouldWrite' : 'imports.written')}
              value={format.quantity(row.rowsWritten)}
            />
            <Tile label={t('imports.unchanged')} value={format.quantity(row.rowsUnchanged)} />
            <Tile
              label={t('imports.refused')}
              value={format.quantity(row.rowsFailed)}
              tone={row.rowsFailed > 0 ? 'bad' : undefined}
            />
          </div>
          <Errors row={row} />
          {row.findings.length > 0 && (
            <section className="card">
              <h2>{t('activation.findings')}</h2>
              <ul>
                {row.findings.map((finding) => (
                  <FindingRow key={finding.findingId} finding={finding} />
                ))}
              </ul>
            </section>
          )}
        </div>
        <aside className="facts" aria-label={t('common.facts')}>
          <FactBox title={t('imports.file')}>
            <Fact name={t('imports.format')}>{row.format}</Fact>
            <Fact name={t('imports.mode')}>{tcode('importMode', row.mode)}</Fact>
            <Fact name={t('imports.atomicFact')}>{t(row.atomic ? 'common.yes' : 'common.no')}</Fact>
            <Fact name={t('audit.subject')}>{row.createdBy}</Fact>
            <Fact name={t('imports.at')}>{format.second(row.createdAt)}</Fact>
            {row.finishedAt && (
              <Fact name={t('imports.duration')}>
                {format.seconds(Date.parse(row.finishedAt) - Date.parse(row.createdAt))}
              </Fact>
            )}
            {row.publicationVersion !== null && (
              <Fact name={t('history.version')}>
                <Link
                  to="/publications/$version"
                  params={{ version: String(row.publicationVersion) }}
                >
                  {row.publicationVersion}
                </Link>
              </Fact>
            )}
          </FactBox>
        </aside>
      </div>
      <ActionDialog
        open={canceling && running}
        title={t('imports.cancelTitle')}
        action={t('imports.cancel')}
        onClose={() => setCanceling(false)}
        onAction={async () => {
          try {
            await api.imports.cancel(id);
          } catch (refused) {
            // It may have finished meanwhile, which the page shows.
            if (!(refused instanceof ApiError && refused.status === 409)) throw refused;
          }
          setCanceling(false);
          await query.refetch();
        }}
      >
        {t(row.atomic || row.validateOnly ? 'imports.cancelNothing' : 'imports.cancelText')}
      </ActionDialog>
    </>
  );
}

function Running({ row }: { row: Import }) {
  const done = row.rowsWritten + row.rowsUnchanged + row.rowsFailed;
  // The first counts that this page has seen; the rate is that of the time since then.
  const [first, setFirst] = useState<{ at: number; done: number } | null>(null);
  const [rate, setRate] = useState(0);
  const [seen, setSeen] = useState(-1);
  if (done !== seen) setSeen(done);
  useEffect(() => {
    const now = Date.now();
    if (!first) setFirst({ at: now, done });
    else if (done > first.done && now > first.at)
      setRate(((done - first.done) * 1000) / (now - first.at));
  }, [done, first]);
  // The counts of one transaction change at its end.
  const isCounted = row.state === 'RUNNING' && !row.atomic && !row.validateOnly;
  const left = row.rowsRead - done;
  return (
    <section className="card progress" aria-label={t('imports.progress')}>
      <Progress
        label={t('imports.progress')}
        value={isCounted ? done : undefined}
        max={row.rowsRead}
      />
      <span>
        {row.state === 'RECEIVING'
          ? tn('imports.received', row.rowsRead)
          : isCounted
            ? t('imports.doneOf', {
                done: format.quantity(done),
                total: format.quantity(row.rowsRead),
              })
            : tn('imports.oneTransaction', row.rowsRead)}
      </span>
      {rate > 0 && left > 0 && (
        <span className="muted">
          {t('imports.rate', {
            rate: format.quantity(Math.round(rate)),
            left: format.seconds((left / rate) * 1000),
          })}
        </span>
      )}
    </section>
  );
}

function Outcome({ row }: { row: Import }) {
  const intent =
    row.state === 'FAILED'
      ? 'error'
      : row.state === 'CANCELED' || row.rowsFailed > 0
        ? 'warning'
        : 'success';
  const changed = row.rowsWritten;
  const text = () => {
    if (row.state === 'FAILED') return row.detail ?? '';
    if (row.state === 'CANCELED') return tn('imports.canceledText', changed);
    if (row.validateOnly) return tn('imports.checkedText', changed);
    return tn('imports.succeededText', changed);
  };
  const key = `problem.${row.code ?? ''}`;
  const title =
    row.state === 'FAILED' && hasText(key)
      ? t(key)
      : row.validateOnly && row.state === 'SUCCEEDED'
        ? t(row.rowsFailed > 0 ? 'imports.checkedErrors' : 'imports.checkedFine')
        : tcode('importOutcome', row.state);
  return (
    <MessageBar intent={intent} layout="multiline" role="status" className="above-list">
      <MessageBarBody>
        <MessageBarTitle>{title}</MessageBarTitle> {text()}
      </MessageBarBody>
    </MessageBar>
  );
}

/** The errors of rows, which can be narrowed to one code. */
function Errors({ row }: { row: Import }) {
  const running = isRunning(row.state);
  const [search, change] = useAddress();
  const errors = useQuery({
    queryKey: ['imports', row.id, 'errors', running],
    queryFn: ({ signal }) => api.imports.errors(row.id, signal),
    enabled: row.rowsFailed > 0,
    refetchInterval: running ? ERRORS_INTERVAL_MS : false,
    placeholderData: (previous) => previous,
  });
  if (row.rowsFailed === 0) {
    return row.state === 'SUCCEEDED' ? (
      <Empty title={t('imports.noErrors')}>
        <CheckmarkCircleRegular className="tone-good" fontSize={32} aria-hidden />
      </Empty>
    ) : null;
  }
  if (errors.isError) return <ProblemView error={errors.error} />;
  if (!errors.data) return <Loading />;
  const counts = new Map<string, number>();
  for (const { code } of errors.data) counts.set(code, (counts.get(code) ?? 0) + 1);
  const code = search.code && counts.has(search.code) ? search.code : '';
  const shown = code ? errors.data.filter((error) => error.code === code) : errors.data;
  const errorColumns: Column<ImportError>[] = [
    {
      id: 'line',
      title: t('imports.line'),
      right: true,
      width: 90,
      cell: (error) => format.quantity(error.line),
      text: (error) => String(error.line),
    },
    {
      id: 'column',
      title: t('imports.column'),
      cell: (error) => error.column && <code>{error.column}</code>,
      text: (error) => error.column,
    },
    {
      id: 'code',
      title: t('imports.errorCode'),
      cell: (error) => tcode('errorCode', error.code),
      text: (error) => error.code,
    },
    {
      id: 'detail',
      title: t('imports.detail'),
      cell: (error) => error.detail,
      text: (error) => error.detail,
    },
  ];
  return (
    <>
      <div className="list-tools">
        <h2>{tn('imports.errors', row.rowsFailed)}</h2>
        <ExportMenu
          name={`errors-${row.resource.replaceAll('/', '-')}`}
          columns={errorColumns}
          rows={() => shown}
        />
      </div>
      {counts.size > 1 && (
        <div className="views" role="group" aria-label={t('list.views')}>
          <button
            type="button"
            className="view"
            aria-pressed={code === ''}
            onClick={() => change({ code: undefined })}
          >
            {t('campaigns.all')} ({format.quantity(errors.data.length)})
          </button>
          {[...counts].map(([one, count]) => (
            <button
              key={one}
              type="button"
              className="view"
              aria-pressed={one === code}
              onClick={() => change({ code: one })}
            >
              {tcode('errorCode', one)} ({format.quantity(count)})
            </button>
          ))}
        </div>
      )}
      <DataTable
        label={t('imports.errorsTitle')}
        columns={errorColumns}
        rows={shown}
        rowKey={(error) => `${String(error.line)} ${error.column} ${error.code} ${error.detail}`}
      />
      {!running && <p className="muted list-count">{t('imports.keptErrors')}</p>}
    </>
  );
}
