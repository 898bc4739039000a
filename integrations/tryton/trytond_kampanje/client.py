# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Client of the campaign service. The only module that sends requests."""
import os
import threading
import time
from contextlib import contextmanager
from urllib.parse import quote

import httpx

# A salesperson waits for a quote, and nobody for the rest.
QUOTE_TIMEOUT = 0.5
BATCH_TIMEOUT = 10
STREAM_TIMEOUT = 30
BREAKER_INTERVAL = 15
MAX_BATCH_ROWS = 1000
MAX_QUOTE_LINES = 1000
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
MAX_STREAM_BYTES = 256 * 1024 * 1024


class Unavailable(Exception):
    """The service did not answer, or not in time."""


class Refused(Exception):
    """The service refused the request with a problem document."""

    def __init__(self, status, problem):
        self.status = status
        self.code = problem.get('code') or str(status)
        errors = problem.get('errors') or []
        self.detail = '\n'.join(
            [problem.get('detail') or '']
            + ['%s: %s' % (e.get('pointer'), e.get('detail')) for e in errors[:20]])
        super().__init__('%s: %s' % (self.code, self.detail))

    @property
    def concerns_credentials(self):
        return self.status in {401, 403}


class Breaker:
    """Circuit breaker: after a failure nobody waits again until the interval is over.

    Afterwards one request tries, and the others wait for its result no longer
    than the next interval.
    """

    def __init__(self, interval=BREAKER_INTERVAL):
        self._interval = interval
        self._lock = threading.Lock()
        self._closed_from = None

    def allows(self):
        with self._lock:
            if self._closed_from is None:
                return True
            now = time.monotonic()
            if now < self._closed_from:
                return False
            self._closed_from = now + self._interval
            return True

    def failed(self):
        with self._lock:
            self._closed_from = time.monotonic() + self._interval

    def succeeded(self):
        with self._lock:
            self._closed_from = None


class Client:
    """Client for one service and one API key; safe for threads."""

    _clients = {}
    _breakers = {}
    _lock = threading.Lock()

    def __init__(self, url, api_key):
        headers = {'accept': 'application/json', 'user-agent': 'trytond-kampanje/8.0'}
        if api_key:
            headers['authorization'] = 'Bearer ' + api_key
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=QUOTE_TIMEOUT, follow_redirects=False)
        self.breaker = Breaker()

    @classmethod
    def shared(cls, url, api_key):
        """Return the client of this process, which keeps its connections open."""
        # A process that was forked must not use the sockets of its parent.
        name = (os.getpid(), url, api_key)
        with cls._lock:
            if name not in cls._clients:
                if len(cls._clients) >= 100:
                    cls._clients.clear()
                cls._clients[name] = cls(url, api_key)
            return cls._clients[name]

    def quote(self, document):
        """Return the prices of a document."""
        return self._json('POST', '/v1/price-quotes', QUOTE_TIMEOUT, json=document)

    def quote_version(self, document, version, book_id):
        """Return the prices of a document by a version of the price book."""
        return self._json(
            'POST', '/v1/price-quotes', QUOTE_TIMEOUT, json=document,
            params={'publicationVersion': version, 'bookId': book_id})

    def batch(self, resource, rows):
        """Write the rows, which are independent of each other, and return the receipts."""
        body = {'rows': rows, 'atomic': False}
        if resource != 'sales':
            # Fields that Tryton does not know keep their values.
            body['mode'] = 'MERGE'
        answer = self._json(
            'POST', '/v1/%s/batch' % quote(resource), BATCH_TIMEOUT, json=body)
        return answer['receipts']

    def settings(self):
        """Return the company's settings."""
        return self._json('GET', '/v1/settings', BATCH_TIMEOUT)

    def me(self):
        """Return the caller's name and scopes."""
        return self._json('GET', '/v1/me', BATCH_TIMEOUT)

    def book_changed(self, book_id, version):
        """Return True unless the version is the current one of that history."""
        try:
            page = self._json('GET', '/v1/price-changes', BATCH_TIMEOUT, params={
                    'since': version, 'bookId': book_id, 'top': 1})
        except Refused as refused:
            if refused.code == 'OTHER_HISTORY':
                return True
            raise
        return bool(page['value'])

    def effective_prices(self, contact, date, currency):
        """Return the price list of a contact: its version, its history and its lines."""
        with self._request(
                'GET', '/v1/effective-prices', STREAM_TIMEOUT, MAX_STREAM_BYTES,
                headers={'accept': 'application/x-ndjson'},
                params={
                    'contactNumber': contact,
                    'date': date.isoformat(),
                    'currencyCode': currency,
                    'pricesIncludeTax': 'false',
                    }) as (response, body):
            return (
                int(response.headers['publication-version']),
                response.headers['book-id'],
                body)

    def _json(self, method, path, timeout, **options):
        with self._request(
                method, path, timeout, MAX_RESPONSE_BYTES, **options) as (response, body):
            try:
                return httpx.Response(200, content=body).json()
            except ValueError as error:
                raise Unavailable('%s: %s' % (path, error)) from error

    @contextmanager
    def _request(self, method, path, timeout, limit, **options):
        if not self.breaker.allows():
            raise Unavailable('not tried: the last request failed')
        try:
            with self._http.stream(method, path, timeout=timeout, **options) as response:
                body = self._read(response, timeout, limit)
        except (httpx.HTTPError, OSError) as error:
            self.breaker.failed()
            raise Unavailable(str(error) or type(error).__name__) from error
        if response.status_code == 429 or response.status_code >= 500:
            self.breaker.failed()
            raise Unavailable('HTTP status %d' % response.status_code)
        self.breaker.succeeded()
        if not 200 <= response.status_code < 300:
            try:
                problem = httpx.Response(200, content=body).json()
            except ValueError:
                problem = {}
            raise Refused(
                response.status_code, problem if isinstance(problem, dict) else {})
        yield response, body

    @staticmethod
    def _read(response, timeout, limit):
        # The timeout of httpx is for one read. The deadline is for all of them.
        deadline = time.monotonic() + timeout
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > limit:
                raise httpx.ReadError('the answer is too large')
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout('the answer takes too long')
            chunks.append(chunk)
        return b''.join(chunks)
