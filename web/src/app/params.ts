import { useParams } from '@tanstack/react-router';

/** Returns a parameter of the page's path. */
export function useParam(name: 'number' | 'version' | 'part' | 'id'): string | undefined {
  const params: Record<string, string | undefined> = useParams({ strict: false });
  return params[name];
}
