# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Starts PostgreSQL, the campaign service and Tryton for tests and for the demo.

Every wait has a bound, and everything that was started is stopped by its process id.
"""
import glob
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import date
from decimal import Decimal
from importlib import metadata
from pathlib import Path

START_TIMEOUT = 300
INSTALL_TIMEOUT = 900
STOP_TIMEOUT = 20
REQUEST_TIMEOUT = 60
ROOT = Path(__file__).resolve().parents[2]
MODULES = ['kampanje']
PASSWORD = 'fjellvik-admin'


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def wait_until(condition, timeout, what, process=None):
    """Wait until the condition holds, at most that many seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if process is not None and process.poll() is not None:
            raise RuntimeError('%s: ended with status %s' % (what, process.returncode))
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def stop(process, signal_=signal.SIGINT):
    """Stop a process, and kill it if it does not stop in time."""
    if process.poll() is None:
        # A stopped process does not see another signal before it continues.
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal_)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)


def start_group(command, log):
    """Start a program as the leader of a process group."""
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def stop_group(process):
    """Stop a process group: Tryton's programs leave their children behind."""
    for signal_ in [signal.SIGTERM, signal.SIGKILL]:
        try:
            os.killpg(process.pid, signal_)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_TIMEOUT / 4)
        except subprocess.TimeoutExpired:
            pass
    process.wait(STOP_TIMEOUT)


def postgres_programs():
    """Return the directory of PostgreSQL's programs, of the newest version."""
    found = sorted(
        glob.glob('/usr/lib/postgresql/*/bin/initdb'), key=lambda p: int(p.split('/')[-3]))
    initdb = shutil.which('initdb') or (found and found[-1])
    if not initdb:
        raise RuntimeError('PostgreSQL is missing: apt-get install postgresql')
    return os.path.dirname(os.path.realpath(initdb))


class Postgres:
    """A PostgreSQL server of its own in a directory that is removed afterwards.

    A snapshot is the data directory of a stopped server, which is copied.
    """

    def __init__(self, directory, snapshot=None):
        self.directory = Path(directory)
        self.snapshot = snapshot
        self.port = free_port()

    def __enter__(self):
        # The server refuses to run as root.
        self._user = (
            ['runuser', '-u', 'postgres', '--'] if os.getuid() == 0 else [])
        bin_ = postgres_programs()
        self.directory.mkdir(parents=True)
        if self._user:
            user = pwd.getpwnam('postgres')
            os.chown(self.directory, user.pw_uid, user.pw_gid)
        data = self.directory / 'data'
        if self.snapshot:
            subprocess.run(
                ['cp', '-a', '--reflink=auto', str(self.snapshot), str(data)],
                check=True, timeout=START_TIMEOUT)
        else:
            subprocess.run(
                self._user + [
                    bin_ + '/initdb', '-D', str(data), '-U', 'tryton', '-A', 'trust',
                    '-E', 'UTF8', '--no-sync'],
                check=True, stdout=subprocess.DEVNULL, cwd='/', timeout=START_TIMEOUT)
        self._log = open(self.directory / 'log', 'w')
        # Durability is of no use for a server that is removed.
        self.process = subprocess.Popen(
            self._user + [
                bin_ + '/postgres', '-D', str(data), '-p', str(self.port),
                '-h', '127.0.0.1', '-k', str(self.directory), '-c', 'fsync=off',
                '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'],
            stdout=self._log, stderr=self._log, cwd='/',
            # Ctrl+C is for the program that stops the others in order.
            start_new_session=True)
        self._psql = bin_ + '/psql'
        try:
            wait_until(
                lambda: subprocess.run(
                    [bin_ + '/pg_isready', '-q', '-h', '127.0.0.1', '-p', str(self.port)],
                    timeout=REQUEST_TIMEOUT).returncode == 0,
                START_TIMEOUT, 'PostgreSQL', self.process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # SIGINT is PostgreSQL's fast shutdown. runuser passes only SIGTERM on.
        postmaster = self.directory / 'data' / 'postmaster.pid'
        if self.process.poll() is None and postmaster.exists():
            os.kill(int(postmaster.read_text().split()[0]), signal.SIGINT)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                pass
        stop(self.process, signal.SIGTERM)
        self._log.close()

    @property
    def uri(self):
        return 'postgresql://tryton@127.0.0.1:%d/' % self.port

    def execute(self, statement, database='postgres'):
        subprocess.run(
            [self._psql, '-X', '-q', '-v', 'ON_ERROR_STOP=1', self.uri + database,
                '-c', statement],
            check=True, timeout=START_TIMEOUT)

    def create(self, database, template='template0'):
        self.execute('CREATE DATABASE "%s" TEMPLATE "%s"' % (database, template))


class Refused(Exception):
    """An answer of the service that is not a success."""


class Service:
    """The campaign service with a database of its own."""

    def __init__(self, directory, binary, port=None):
        self.directory = Path(directory)
        self.binary = binary
        self.port = port or free_port()
        self.url = 'http://127.0.0.1:%d' % self.port
        self.key = secrets.token_hex(24)
        self.process = None

    def __enter__(self):
        self.directory.mkdir(parents=True)
        # The private database server of the service is another user's process for root.
        self.directory.chmod(0o755)
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        environment = {k: v for k, v in os.environ.items() if k != 'DATABASE_URL'}
        environment.update({
                'KAMPANJE_API_KEY': self.key,
                'KAMPANJE_LISTEN': '127.0.0.1:%d' % self.port,
                'KAMPANJE_DRAIN_SECONDS': '0',
                })
        with open(self.directory / 'log', 'a') as log:
            self.process = subprocess.Popen(
                [self.binary, 'serve', '--data-dir', str(self.directory / 'data')],
                env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._ready, START_TIMEOUT, 'the service', self.process)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        if self.process:
            stop(self.process)

    def pause(self):
        """Let the service hang: it accepts connections and does not answer."""
        self.process.send_signal(signal.SIGSTOP)
        # The signal does not stop all threads before the next request could be answered.
        stat = Path('/proc/%d/stat' % self.process.pid)
        wait_until(
            lambda: stat.read_text().rpartition(')')[2].split()[0] == 'T', STOP_TIMEOUT,
            'the stopped service')

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def _ready(self):
        try:
            self.call('GET', '/readyz')
            return True
        except (OSError, Refused):
            return False

    def call(self, method, path, body=None, headers=None):
        """Send a request with all rights, and return the answer."""
        request = urllib.request.Request(
            self.url + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                'authorization': 'Bearer ' + self.key,
                'content-type': 'application/json', **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused('%s %s: %s' % (
                        method, path, error.read().decode(errors='replace'))) from error
        return json.loads(content) if content.startswith((b'{', b'[')) else content

    def integrator_key(self, name='Tryton'):
        return self.call(
            'POST', '/v1/api-keys', {'name': name, 'roles': ['INTEGRATOR']})['secret']

    def activate_campaign(
            self, number, contacts, prices=(), discounts=(), start=None, end=None):
        """Create a campaign for the contacts with its lines, and activate it."""
        self.call('PUT', '/v1/campaigns/' + number, {
                'description': number,
                'startingDate': start or '2020-01-01',
                'endingDate': end or '2099-12-31'})
        self.call('PUT', '/v1/segments/' + number, {
                'campaignNumber': number, 'campaignTarget': True})
        for contact in contacts:
            self.call('POST', '/v1/segments/%s/lines' % number, {'contactNumber': contact})
        for line in prices:
            self.call('POST', '/v1/campaigns/%s/prices' % number, line)
        for line in discounts:
            self.call('POST', '/v1/campaigns/%s/discounts' % number, line)
        return self.call('POST', '/v1/campaigns/%s/activations' % number, {
                'acknowledge': ['*']})


def service_binary():
    """Return the service's program: that of KAMPANJE_BIN, or a new build."""
    binary = os.environ.get('KAMPANJE_BIN')
    if not binary:
        subprocess.run(
            ['cargo', 'build', '--locked', '--quiet', '--bin', 'kampanje'],
            cwd=ROOT, check=True)
        target = Path(os.environ.get('CARGO_TARGET_DIR', ROOT / 'target'))
        binary = str(target / 'debug' / 'kampanje')
    return binary


def write_config(path, postgres, worker=False, web=None, root=None):
    """Write trytond.conf, and let trytond find it."""
    lines = [
        '[database]', 'uri = ' + postgres.uri,
        '[queue]', 'worker = %s' % worker,
        '[session]', 'authentications = password',
        ]
    if web:
        lines += ['[web]', 'listen = ' + web, 'root = %s' % root]
    Path(path).write_text('\n'.join(lines) + '\n')
    # trytond reads both while it is imported, and takes SQLite without them.
    os.environ['TRYTOND_CONFIG'] = str(path)
    os.environ['TRYTOND_DATABASE_URI'] = postgres.uri


def create_company(database, config_file):
    """Make a company that sells, with the test tools of Tryton."""
    from proteus import Model
    from proteus import config as proteus_config

    from trytond.modules.account.tests.tools import (
        create_chart, create_fiscalyear, create_tax, get_accounts)
    from trytond.modules.account_invoice.tests.tools import (
        set_fiscalyear_invoice_sequences)
    from trytond.modules.company.tests import tools
    from trytond.modules.currency.tests.tools import get_currency

    proteus_config.set_trytond(database, config_file=str(config_file))
    for item in Model.get('ir.module.config_wizard.item').find([]):
        item.state = 'done'
        item.save()
    tools.create_company(currency=get_currency('EUR'))
    company = tools.get_company()
    company.party.name = 'Fjellvik Handel'
    company.party.save()
    # The tools give every currency rates of their own invention.
    fiscal_year = set_fiscalyear_invoice_sequences(create_fiscalyear(company))
    fiscal_year.click('create_period')
    create_chart(company)
    accounts = get_accounts(company)
    tax = create_tax(Decimal('0.25'), company=company)
    tax.save()
    category = Model.get('product.category')(name='Goods')
    category.accounting = True
    category.account_expense = accounts['expense']
    category.account_revenue = accounts['revenue']
    category.customer_taxes.append(tax)
    category.save()
    term = Model.get('account.invoice.payment_term')(name='30 days')
    delta = term.lines.new(type='remainder')
    delta.relativedeltas.new(days=30)
    term.save()


def create_template(postgres, database, config_file, keep_modules=None):
    """Create a database with the module and a company, and return the seconds."""
    started = time.monotonic()
    postgres.create(database)
    with tempfile.NamedTemporaryFile('w', delete=False) as password:
        password.write(PASSWORD)
    try:
        # Tryton asks for the foreign keys of each table that it creates. Without statistics of
        # the catalog, which it fills in one transaction, one such query takes up to 17 s.
        for modules in [['ir', 'res'], MODULES]:
            subprocess.run(
                ['trytond-admin', '-c', str(config_file), '-d', database, '-u', *modules,
                    '--activate-dependencies', '--email', 'admin@example.com', '--password'],
                check=True, timeout=INSTALL_TIMEOUT,
                env={**os.environ, 'TRYTONPASSFILE': password.name})
            postgres.execute('ANALYZE', database)
    finally:
        os.unlink(password.name)
    if keep_modules:
        # Tryton's own test of the module needs a database without a company.
        postgres.create(keep_modules, database)
    # A process of its own, whose connections would keep the database from being copied.
    subprocess.run(
        [sys.executable, __file__, database, str(config_file)],
        check=True, timeout=INSTALL_TIMEOUT)
    return time.monotonic() - started


def template_snapshot(cache):
    """Return the data directory of a server with the databases of create_template.

    Creating them takes most of the time of a run, so it is kept until Tryton, the module,
    PostgreSQL or the date changes: the company's fiscal year is that of today.
    """
    digest = hashlib.sha256(date.today().isoformat().encode())
    digest.update(postgres_programs().encode())
    for distribution in sorted(
            '%s %s' % (d.name, d.version) for d in metadata.distributions()):
        digest.update(distribution.encode())
    here = Path(__file__).resolve().parent
    sources = here / 'trytond_kampanje'
    for path in [here / 'harness.py', *sorted(sources.rglob('*'))]:
        if path.suffix in {'.py', '.xml', '.cfg', '.po'}:
            digest.update(path.read_bytes())
    snapshot = cache / ('databases-' + digest.hexdigest()[:16])
    if not snapshot.exists():
        for outdated in cache.glob('databases-*'):
            shutil.rmtree(outdated)
        directory = Path(tempfile.mkdtemp(prefix='kampanje-tryton-'))
        try:
            # PostgreSQL runs as another user for root.
            directory.chmod(0o755)
            with Postgres(directory / 'postgres') as server:
                config = directory / 'trytond.conf'
                write_config(config, server)
                create_template(server, 'template_erp', config, 'template_modules')
            cache.mkdir(parents=True, exist_ok=True)
            partial = cache / ('partial-%d' % os.getpid())
            shutil.move(directory / 'postgres' / 'data', partial)
            partial.rename(snapshot)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return snapshot


if __name__ == '__main__':
    create_company(*sys.argv[1:3])
