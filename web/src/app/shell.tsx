import {
  Button,
  FluentProvider,
  Menu,
  MenuDivider,
  MenuItem,
  MenuItemRadio,
  MenuList,
  MenuPopover,
  MenuTrigger,
} from '@fluentui/react-components';
import {
  DismissRegular,
  NavigationRegular,
  PersonRegular,
  SearchRegular,
} from '@fluentui/react-icons';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { credentials } from '../api.ts';
import { setLanguage, t, useLanguage, type Language } from '../lib/i18n.ts';
import { PAGES } from './pages.tsx';
import { SessionGate, signOut, useCan, useSession } from './session.tsx';
import { TellMe } from './tell-me.tsx';
import { setTheme, THEMES, useTheme, useThemeChoice, type ThemeChoice } from './theme.ts';

export function Shell() {
  const theme = useTheme();
  const language = useLanguage();
  return (
    <FluentProvider theme={THEMES[theme]} className={`app theme-${theme}`} key={language}>
      <SessionGate>
        <Frame />
      </SessionGate>
    </FluentProvider>
  );
}

function Frame() {
  const [telling, setTelling] = useState(false);
  const [navOpen, setNavOpen] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.altKey && event.code === 'KeyQ') {
        event.preventDefault();
        setTelling(true);
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);
  const [shownPath, setShownPath] = useState(path);
  if (shownPath !== path) {
    setShownPath(path);
    setNavOpen(false);
  }
  return (
    <>
      <a className="skip" href="#content">
        {t('shell.skip')}
      </a>
      <header className="top">
        <Button
          className="nav-button top-button"
          appearance="transparent"
          icon={navOpen ? <DismissRegular /> : <NavigationRegular />}
          aria-label={t('shell.menu')}
          aria-expanded={navOpen}
          aria-controls="navigation"
          onClick={() => setNavOpen(!navOpen)}
        />
        <Link to="/" className="brand">
          Kampanje
        </Link>
        <button
          type="button"
          className="tell-me-button"
          aria-keyshortcuts="Alt+Q"
          onClick={() => setTelling(true)}
        >
          <SearchRegular /> <span>{t('tellMe.button')}</span>
        </button>
        <AccountMenu />
      </header>
      <div className="frame">
        <Navigation open={navOpen} />
        <main id="content" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      {telling && <TellMe onClose={() => setTelling(false)} />}
    </>
  );
}

function Navigation({ open }: { open: boolean }) {
  const can = useCan();
  const groups = [...new Set(PAGES.map((page) => page.group))];
  return (
    <nav
      id="navigation"
      aria-label={t('shell.navigation')}
      className={open ? 'nav nav-open' : 'nav'}
    >
      {groups.map((group) => {
        const pages = PAGES.filter((page) => page.group === group && can(page.scope));
        if (pages.length === 0) return null;
        return (
          <div key={group} className="nav-group">
            <div className="nav-title">{t(group)}</div>
            <ul>
              {pages.map(({ to, text, icon: Icon }) => (
                <li key={to}>
                  <Link
                    to={to}
                    className="nav-link"
                    activeOptions={{ exact: to === '/', includeSearch: false }}
                  >
                    <Icon aria-hidden />
                    <span>{t(text)}</span>
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

function AccountMenu() {
  const { me } = useSession();
  const language = useLanguage();
  const theme = useThemeChoice();
  const name = me.kind === 'LOCAL' ? t('shell.local') : me.name;
  return (
    <Menu
      checkedValues={{ language: [language], theme: [theme] }}
      onCheckedValueChange={(_, data) => {
        const [chosen] = data.checkedItems;
        if (data.name === 'language') setLanguage(chosen as Language);
        else setTheme(chosen as ThemeChoice);
      }}
    >
      <MenuTrigger disableButtonEnhancement>
        <Button
          className="top-button account"
          appearance="transparent"
          icon={<PersonRegular />}
          aria-label={`${name}: ${t('shell.account')}`}
        >
          <span className="account-name">{name}</span>
        </Button>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <div className="menu-note">
            {me.roles.length > 0
              ? me.roles.join(', ')
              : t('shell.scopes', { count: me.scopes.length })}
          </div>
          <MenuDivider />
          <MenuItemRadio name="language" value="en">
            English
          </MenuItemRadio>
          <MenuItemRadio name="language" value="nb">
            Norsk bokmål
          </MenuItemRadio>
          <MenuDivider />
          <MenuItemRadio name="theme" value="system">
            {t('theme.system')}
          </MenuItemRadio>
          <MenuItemRadio name="theme" value="light">
            {t('theme.light')}
          </MenuItemRadio>
          <MenuItemRadio name="theme" value="dark">
            {t('theme.dark')}
          </MenuItemRadio>
          <MenuItemRadio name="theme" value="contrast">
            {t('theme.contrast')}
          </MenuItemRadio>
          <MenuDivider />
          <MenuItem onClick={() => window.open('/docs/', '_blank', 'noopener')}>
            {t('shell.docs')}
          </MenuItem>
          {credentials.get() && <MenuItem onClick={signOut}>{t('shell.signOut')}</MenuItem>}
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}
