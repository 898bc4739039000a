# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
import datetime as dt
import logging
from urllib.parse import urlsplit

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import ValidationError
from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access

from .client import Client, Refused, Unavailable

logger = logging.getLogger(__name__)

MASK = 'x' * 10
MAX_ERROR_LENGTH = 2000
REQUIRED_SCOPES = {
    'quotes:read', 'book:read', 'catalog:read', 'catalog:write', 'contacts:write',
    'sales:write'}


class ConnectionError_(UserError):
    """The campaign service cannot be used with this configuration."""


class Connection(ModelSQL, ModelView):
    """The campaign service of a company."""
    __name__ = 'kampanje.connection'
    _rec_name = 'url'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='CASCADE')
    url = fields.Char(
        "URL", required=True, help="For example https://prices.example.com")
    api_key = fields.Function(fields.Char(
            "API Key", strip=False,
            help="A key with the role INTEGRATOR. It can be replaced but not read."),
        'get_api_key', setter='set_api_key')
    api_key_stored = fields.Char("Stored API Key", strip=False)
    desk_url = fields.Char(
        "Desk URL",
        help="The web application of the service. Empty: /desk below the URL.")
    copy_days = fields.Integer(
        "Days of Sales", required=True,
        domain=[('copy_days', '>=', 0), ('copy_days', '<=', 3650)],
        help="Prices are copied for the customers with a sale in this many days.\n"
        "0 copies nothing.")
    contacted_at = fields.DateTime("Last Success", readonly=True)
    error = fields.Text("Last Error", readonly=True)
    waiting = fields.Function(fields.Integer(
            "Waiting Changes",
            help="The number of changes that the service has not received."),
        'get_waiting')
    refused = fields.Function(fields.Integer(
            "Refused Changes",
            help="The number of changes that the service has refused."),
        'get_waiting')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints += [
            ('company_unique', Unique(table, table.company),
                'kampanje.msg_connection_company_unique'),
            ]
        cls._buttons.update({
                'check': {},
                'send_all': {},
                'copy_prices': {},
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_copy_days(cls):
        return 90

    @classmethod
    def get_api_key(cls, connections, name):
        with without_check_access():
            return {
                c.id: MASK if c.api_key_stored else None
                for c in cls.browse(connections)}

    @classmethod
    def set_api_key(cls, connections, name, value):
        if value == MASK:
            return
        with without_check_access():
            cls.write(cls.browse(connections), {
                    'api_key_stored': (value or '').strip() or None})

    @classmethod
    def get_waiting(cls, connections, names):
        Entry = Pool().get('kampanje.outbox')
        result = {n: {} for n in names}
        for connection in connections:
            for name in names:
                domain = [('company', '=', connection.company.id)]
                if name == 'refused':
                    domain.append(('error', '!=', None))
                with without_check_access():
                    result[name][connection.id] = Entry.search(domain, count=True)
        return result

    @classmethod
    def validate_fields(cls, connections, field_names):
        super().validate_fields(connections, field_names)
        for connection in connections:
            for url in filter(None, [connection.url, connection.desk_url]):
                try:
                    parts = urlsplit(url)
                    valid = parts.scheme in {'http', 'https'} and parts.hostname
                except ValueError:
                    valid = False
                if not valid or parts.query or parts.fragment or parts.username:
                    raise ValidationError(
                        gettext('kampanje.msg_connection_url', url=url))

    @classmethod
    def copy(cls, connections, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('api_key_stored')
        default.setdefault('contacted_at')
        default.setdefault('error')
        return super().copy(connections, default=default)

    @classmethod
    @without_check_access
    def of(cls, company):
        """Return the connection of the company, or None."""
        if company is None:
            return None
        connections = cls.search([('company', '=', company.id)], limit=1)
        return connections[0] if connections else None

    @property
    def client(self):
        with without_check_access():
            connection = self.__class__(self.id)
            return Client.shared(connection.url.rstrip('/'), connection.api_key_stored)

    @property
    def desk(self):
        return (self.desk_url or self.url.rstrip('/') + '/desk').rstrip('/')

    @classmethod
    @ModelView.button
    def check(cls, connections):
        """Raise an error unless the service can be used as it is configured."""
        for connection in connections:
            try:
                me = connection.client.me()
                missing = REQUIRED_SCOPES - set(me['scopes'])
                if missing:
                    raise ConnectionError_(gettext(
                            'kampanje.msg_connection_scopes',
                            scopes=', '.join(sorted(missing))))
                currency = connection.client.settings()['localCurrencyCode']
            except (Unavailable, Refused) as error:
                raise ConnectionError_(gettext(
                        'kampanje.msg_connection_failed',
                        url=connection.url, error=str(error))) from error
            if currency != connection.company.currency.code:
                raise ConnectionError_(gettext(
                        'kampanje.msg_connection_currency',
                        service=currency, company=connection.company.currency.code))
            cls._note(connection, None)

    @classmethod
    def _note(cls, connection, error):
        values = {'error': error[:MAX_ERROR_LENGTH] if error else None}
        if not error:
            values['contacted_at'] = dt.datetime.now()
        with without_check_access():
            cls.write([connection], values)

    @classmethod
    def send(cls, connections):
        """Send the waiting changes; run as a task of the queue and by cron."""
        Entry = Pool().get('kampanje.outbox')
        for connection in connections:
            # Two senders could overtake each other with an older state. The second one
            # fails to lock, and its task is tried again.
            cls.lock([connection])
            company = connection.company.id
            with Transaction().set_context(company=company, companies=[company]), \
                    without_check_access():
                error = None
                try:
                    Entry.send(cls(connection.id), connection.client)
                except Unavailable as unavailable:
                    # The entries stay, and cron tries again.
                    error = str(unavailable)
                    logger.info('Campaign service unavailable, url=%s, error=%s',
                        connection.url, error)
                except Refused as refused:
                    error = str(refused)
                    logger.warning('Campaign service refuses access, url=%s, error=%s',
                        connection.url, error)
                cls._note(connection, error)

    @classmethod
    def send_waiting(cls):
        """Send what earlier attempts have not sent; run by cron."""
        Entry = Pool().get('kampanje.outbox')
        connections = cls.search([])
        cls.send([
                c for c in connections
                if Entry.search([('company', '=', c.company.id)], limit=1)])

    @classmethod
    def send_everything(cls):
        """Send all master data, for changes that no record tells; run by cron."""
        cls._add_everything(cls.search([]))

    @classmethod
    @ModelView.button
    def send_all(cls, connections):
        cls._add_everything(connections)

    @classmethod
    @without_check_access
    def _add_everything(cls, connections):
        pool = Pool()
        Entry = pool.get('kampanje.outbox')
        Currency = pool.get('currency.currency')
        Template = pool.get('product.template')
        Party = pool.get('party.party')
        for connection in connections:
            company = connection.company
            for resource, Model in [
                    ('currencies', Currency), ('exchange-rates', Currency),
                    ('items', Template), ('contacts', Party)]:
                Entry.add(resource, Model.search([]), company=company)

    @classmethod
    @ModelView.button
    def copy_prices(cls, connections):
        PriceList = Pool().get('kampanje.price_list')
        PriceList.__queue__.refresh_connections([c.id for c in connections])
