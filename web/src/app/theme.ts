import {
  createDarkTheme,
  createLightTheme,
  teamsHighContrastTheme,
  type BrandVariants,
  type Theme,
} from '@fluentui/react-components';
import { useSyncExternalStore } from 'react';

export type ThemeName = 'light' | 'dark' | 'contrast';
export type ThemeChoice = ThemeName | 'system';

const brand: BrandVariants = {
  10: '#010403',
  20: '#0a1a16',
  30: '#0b2b24',
  40: '#0a3830',
  50: '#07463b',
  60: '#075446',
  70: '#0a6252',
  80: '#0f6c5a',
  90: '#2a7d6a',
  100: '#418d7b',
  110: '#579d8c',
  120: '#6dae9d',
  130: '#84beaf',
  140: '#9bcfc1',
  150: '#b3dfd3',
  160: '#cbf0e6',
};

const dark = createDarkTheme(brand);

export const THEMES: Record<ThemeName, Theme> = {
  light: createLightTheme(brand),
  dark: {
    ...dark,
    // The defaults of the ramp are too dark for text on the dark background.
    colorBrandForeground1: brand[130],
    colorBrandForeground2: brand[140],
    colorBrandForegroundLink: brand[130],
    colorBrandForegroundLinkHover: brand[150],
    colorBrandForegroundLinkPressed: brand[140],
    colorCompoundBrandForeground1: brand[130],
    colorCompoundBrandStroke: brand[120],
    colorNeutralForeground2BrandHover: brand[130],
  },
  contrast: teamsHighContrastTheme,
};

const STORED = 'kampanje.theme';
const systemDark = window.matchMedia('(prefers-color-scheme: dark)');
const systemContrast = window.matchMedia('(prefers-contrast: more), (forced-colors: active)');
const listeners = new Set<() => void>();

let choice: ThemeChoice = stored();

function stored(): ThemeChoice {
  const value = localStorage.getItem(STORED);
  return value === 'light' || value === 'dark' || value === 'contrast' ? value : 'system';
}

export function setTheme(chosen: ThemeChoice): void {
  choice = chosen;
  localStorage.setItem(STORED, chosen);
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  systemDark.addEventListener('change', listener);
  systemContrast.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    systemDark.removeEventListener('change', listener);
    systemContrast.removeEventListener('change', listener);
  };
}

function current(): ThemeName {
  if (choice !== 'system') return choice;
  if (systemContrast.matches) return 'contrast';
  return systemDark.matches ? 'dark' : 'light';
}

export function useThemeChoice(): ThemeChoice {
  return useSyncExternalStore(subscribe, () => choice);
}

export function useTheme(): ThemeName {
  return useSyncExternalStore(subscribe, current);
}
