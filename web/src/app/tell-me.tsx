import {
  Dialog,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
} from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useId, useState, type KeyboardEvent } from 'react';
import { LOOKUPS } from '../ui/lookup.tsx';
import { api, quoted } from '../api.ts';
import { t } from '../lib/i18n.ts';
import type { Scope } from '@kampanje/client';
import { PAGES } from './pages.tsx';
import { useCan } from './session.tsx';
import { SETUP_PAGES } from './setup-pages.ts';

interface Found {
  group: string;
  key: string;
  text: string;
  to: string;
  params?: Record<string, string>;
  search?: Record<string, string>;
}

const SEARCH_DELAY_MS = 150;
const MAX_FOUND_PER_GROUP = 6;

/** Finds pages, actions, campaigns, segments, items and contacts. */
export function TellMe({ onClose }: { onClose: () => void }) {
  const can = useCan();
  const navigate = useNavigate();
  const listId = useId();
  const [text, setText] = useState('');
  const [searched, setSearched] = useState('');
  const [active, setActive] = useState(0);
  useEffect(() => {
    const timer = window.setTimeout(() => setSearched(text.trim()), SEARCH_DELAY_MS);
    return () => window.clearTimeout(timer);
  }, [text]);

  const allowed = (scope: Scope, search: () => Promise<Found[]>) =>
    can(scope) ? search() : Promise.resolve([]);
  const rows = useQuery<Found[]>({
    queryKey: ['tell-me', searched],
    enabled: searched.length > 0,
    placeholderData: (previous) => previous,
    queryFn: async ({ signal }): Promise<Found[]> => {
      const found = await Promise.all([
        allowed('campaigns:read', async () =>
          (await LOOKUPS.campaigns(searched, signal)).map(({ key, text: name }) => ({
            group: t('nav.campaigns'),
            key,
            text: name,
            to: '/campaigns/$number',
            params: { number: key },
          })),
        ),
        allowed('contacts:read', async () => {
          const key = quoted(searched.toUpperCase());
          const filter = `startswith(number,${key}) or contains(description,${quoted(searched)})`;
          const page = await api.segments.list({ filter, top: MAX_FOUND_PER_GROUP }, signal);
          return page.value.map(({ number, description }) => ({
            group: t('nav.segments'),
            key: number,
            text: description,
            to: '/segments/$number',
            params: { number },
          }));
        }),
        allowed('catalog:read', async () =>
          (await LOOKUPS.items(searched, signal)).map(({ key, text: name }) => ({
            group: t('nav.items'),
            key,
            text: name,
            to: '/items/$number',
            params: { number: key },
          })),
        ),
        allowed('contacts:read', async () =>
          (await LOOKUPS.contacts(searched, signal)).map(({ key, text: name }) => ({
            group: t('nav.contacts'),
            key,
            text: name,
            to: '/contacts/$number',
            params: { number: key },
          })),
        ),
      ]);
      return found.flatMap((group) => group.slice(0, MAX_FOUND_PER_GROUP));
    },
  });

  const matches = (name: string) => name.toLowerCase().includes(text.trim().toLowerCase());
  const actions: Found[] = can('campaigns:write')
    ? [
        {
          group: t('tellMe.actions'),
          key: t('campaigns.new'),
          text: '',
          to: '/campaigns',
          search: { new: '1' },
        },
      ]
    : [];
  const pages: Found[] = PAGES.filter((page) => can(page.scope)).map((page) => ({
    group: t('tellMe.pages'),
    key: t(page.text),
    text: '',
    to: page.to,
  }));
  const setupPages: Found[] = SETUP_PAGES.filter(({ scope }) => can(scope)).map((page) => ({
    group: t('nav.setup'),
    key: t(page.title),
    text: '',
    to: '/setup/$part',
    params: { part: page.id },
  }));
  const found = [
    ...[...actions, ...pages, ...setupPages].filter(({ key }) => matches(key)),
    ...(text.trim() ? (rows.data ?? []) : []),
  ];
  const at = Math.min(active, found.length - 1);

  const open = (entry: Found | undefined) => {
    if (!entry) return;
    onClose();
    const { to, params = {}, search = {} } = entry;
    void navigate({ to, params, search });
  };
  const keyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setActive(Math.min(at + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setActive(Math.max(at - 1, 0));
    else if (event.key === 'Enter') open(found[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog
      open
      onOpenChange={(_, data) => {
        if (!data.open) onClose();
      }}
    >
      <DialogSurface className="tell-me">
        <DialogBody>
          <DialogTitle>{t('tellMe.title')}</DialogTitle>
          <DialogContent>
            <input
              className="input"
              role="combobox"
              aria-label={t('tellMe.title')}
              aria-expanded={found.length > 0}
              aria-controls={listId}
              aria-activedescendant={at >= 0 ? `${listId}-${String(at)}` : undefined}
              aria-autocomplete="list"
              placeholder={t('tellMe.placeholder')}
              autoFocus
              autoComplete="off"
              value={text}
              onChange={(event) => {
                setText(event.target.value);
                setActive(0);
              }}
              onKeyDown={keyDown}
            />
            <ul id={listId} role="listbox" aria-label={t('tellMe.title')} className="tell-me-list">
              {found.map((entry, index) => (
                <li
                  key={`${entry.to} ${entry.key}`}
                  id={`${listId}-${String(index)}`}
                  role="option"
                  aria-selected={index === at}
                  onPointerMove={() => setActive(index)}
                  onClick={() => open(entry)}
                >
                  <span>
                    <b>{entry.key}</b> {entry.text}
                  </span>
                  <span className="muted">{entry.group}</span>
                </li>
              ))}
            </ul>
            {found.length === 0 && (
              <p role="status" className="muted">
                {rows.isFetching ? t('common.loading') : t('list.nothingFound', { text })}
              </p>
            )}
          </DialogContent>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}
