# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""The company, the service and the databases of the tests."""
import datetime as dt
import itertools
import os
import shutil
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import harness  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope='session')
def directory():
    path = Path(tempfile.mkdtemp(prefix='kampanje-tryton-'))
    # PostgreSQL runs as another user for root.
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope='session')
def binary():
    return harness.service_binary()


@pytest.fixture(scope='session')
def postgres(directory):
    snapshot = harness.template_snapshot(Path(os.environ['KAMPANJE_TRYTON_CACHE']))
    with harness.Postgres(directory / 'postgres', snapshot) as server:
        harness.write_config(directory / 'trytond.conf', server)
        yield server


@pytest.fixture(scope='session')
def template(postgres):
    return 'template_erp'


@pytest.fixture(scope='session')
def service(directory, binary):
    """The service for tests that do not stop it. Each uses keys of its own."""
    with harness.Service(directory / 'service', binary) as running:
        prepare(running)
        yield running


@pytest.fixture(scope='session')
def patience(template):
    """A longer timeout of quotes, so that a busy machine is no outage.

    The tests of outages set that of production again.
    """
    from trytond.modules.kampanje import client
    production = client.QUOTE_TIMEOUT
    client.QUOTE_TIMEOUT = harness.REQUEST_TIMEOUT
    yield production
    client.QUOTE_TIMEOUT = production


@pytest.fixture(scope='session')
def shared_erp(template, postgres, directory, service, patience):
    return Erp(postgres, template, directory / 'trytond.conf', service)


@pytest.fixture
def erp(shared_erp):
    """Tryton, connected to the service that no test stops."""
    shared_erp.use()
    return shared_erp


@pytest.fixture
def fragile(template, postgres, directory, binary, patience):
    """Tryton with a service of its own, which the test may stop."""
    path = directory / ('service-%d' % next(_numbers))
    with harness.Service(path, binary) as running:
        prepare(running)
        erp = Erp(postgres, template, directory / 'trytond.conf', running)
        yield erp


def prepare(service):
    service.call('PATCH', '/v1/settings', {
            'localCurrencyCode': 'EUR', 'timeZone': 'UTC'}, {'if-match': '*'})


class Erp:
    """A database of Tryton with a connection to the service."""

    def __init__(self, postgres, template, config_file, service):
        self.database = 'erp_%d_%d' % (os.getpid(), next(_numbers))
        self.config_file = config_file
        self.service = service
        self._configs = {}
        self._company = None
        postgres.create(self.database, template)
        self.use()
        Connection = self.model('kampanje.connection')
        self.connection = Connection(
            company=self.company(), url=service.url, api_key=service.integrator_key())
        self.connection.save()
        self.connection.click('check')

    def use(self, user='admin'):
        from proteus import config
        from trytond.modules.company.tests.tools import get_company
        if user in self._configs:
            config._CONFIG.current = self._configs[user]
            return
        self._configs[user] = config.set_trytond(
            self.database, user=user, config_file=str(self.config_file))
        User = self.model('res.user')
        config.get_config()._context = User.get_preferences(True, {})
        if self._company is None:
            self._company = get_company().id

    @staticmethod
    def model(name):
        from proteus import Model
        return Model.get(name)

    def company(self):
        return self.model('company.company')(self._company)

    @staticmethod
    def code(prefix):
        """Return a code that no other test uses."""
        return '%s-%d' % (prefix, next(_numbers))

    def party(self, code=None, currency=None):
        party = self.model('party.party')(name='Customer')
        party.code = code or self.code('C')
        if currency:
            party.customer_currency = self.currency(currency)
        party.save()
        return party

    def currency(self, code, rate=None):
        """Return the currency, which has a rate to one euro."""
        Currency = self.model('currency.currency')
        found = Currency.find([('code', '=', code)])
        if found:
            return found[0]
        currency = Currency(name=code, code=code, rounding=Decimal('0.01'))
        # Tryton's test tools give the euro the rate 2.
        currency.rates.new(date=dt.date(2020, 1, 1), rate=2 * Decimal(rate))
        currency.save()
        return currency

    def product(self, price='100', code=None, unit='Unit', suffixes=(), cost='40'):
        Uom = self.model('product.uom')
        Category = self.model('product.category')
        template = self.model('product.template')(name='Article')
        template.code = code or self.code('P')
        template.type = 'goods'
        template.default_uom, = Uom.find([('name', '=', unit)])
        template.salable = True
        template.sale_uom = template.default_uom
        template.list_price = Decimal(price)
        template.account_category, = Category.find([('name', '=', 'Goods')])
        product, = template.products
        product.cost_price = Decimal(cost)
        for position, suffix in enumerate(suffixes):
            if position:
                product = template.products.new()
                product.cost_price = Decimal(cost)
            product.suffix_code = suffix
        template.save()
        return template.products[0]

    def sale(self, party, lines=(), currency=None, date=None):
        """Return an unsaved sale with lines of products and quantities."""
        sale = self.model('sale.sale')()
        sale.party = party
        Term = self.model('account.invoice.payment_term')
        sale.payment_term, = Term.find([('name', '=', '30 days')])
        sale.invoice_method = 'order'
        if currency:
            sale.currency = currency
        if date:
            sale.sale_date = date
        for product, quantity in lines:
            self.line(sale, product, quantity)
        return sale

    @staticmethod
    def line(sale, product, quantity):
        line = sale.lines.new()
        line.product = product
        line.quantity = quantity
        return line

    def posted_invoice(self, sale):
        """Take a saved sale through to a posted invoice."""
        sale.click('quote')
        sale.click('confirm')
        if sale.state == 'confirmed':
            sale.click('process')
        invoice, = sale.invoices
        invoice.click('post')
        return invoice

    def item(self, product):
        return self.service.call('GET', '/v1/items/' + product.code)

    def waiting(self):
        return self.model('kampanje.outbox').find([])

    def sales(self, invoice):
        return self.service.call(
            'GET', "/v1/sales?filter=documentNumber%%20eq%%20'%s'" % invoice.number)['value']

    def cron(self, method):
        Cron = self.model('ir.cron')
        cron, = Cron.find([('method', '=', method)])
        cron.click('run_once')

    def quote(self, party, product, quantity, **more):
        from urllib.parse import urlencode
        return self.service.call('GET', '/v1/price-quotes?' + urlencode({
                    'contactNumber': party.code, 'itemNumber': product.code,
                    'quantity': quantity, 'pricesIncludeTax': 'false', **more}))
