import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { createRoot } from 'react-dom/client';
import { queries } from './app/queries.ts';
import { signInFailed } from './app/session.tsx';
import { router } from './app/router.tsx';
import './app.css';

/** After an upgrade of the service, an open page refers to files that are gone. */
const RELOADED = 'kampanje.reloaded';
const MIN_RELOAD_INTERVAL_MS = 10_000;
window.addEventListener('vite:preloadError', () => {
  if (Date.now() - Number(sessionStorage.getItem(RELOADED)) < MIN_RELOAD_INTERVAL_MS) return;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  window.location.reload();
});

/** Finishes a sign-in that the issuer leads back from; true if another page is loaded then. */
async function signedIn(): Promise<boolean> {
  if (window.location.pathname !== '/desk/signed-in') return false;
  const { completeSignIn } = await import('./app/oidc.ts');
  try {
    window.location.replace(await completeSignIn());
    return true;
  } catch (error) {
    signInFailed(error);
    return false;
  }
}

const container = document.getElementById('root');
if (container && !(await signedIn())) {
  createRoot(container).render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
}
