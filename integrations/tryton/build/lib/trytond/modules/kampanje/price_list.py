# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
import datetime as dt
import gzip
import json
import logging
import time
from decimal import Decimal

from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access

from .client import Refused, Unavailable

logger = logging.getLogger(__name__)

MAX_CUSTOMERS = 1000
MAX_REFRESH_SECONDS = 600


class PriceList(ModelSQL, ModelView):
    """The prices of a customer on a day, for times when the service is away."""
    __name__ = 'kampanje.price_list'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True, ondelete='CASCADE')
    party = fields.Many2One(
        'party.party', "Party", required=True, readonly=True, ondelete='CASCADE')
    currency = fields.Many2One(
        'currency.currency', "Currency", required=True, readonly=True)
    date = fields.Date("Date", required=True, readonly=True)
    version = fields.Integer("Version of the Price Book", required=True, readonly=True)
    book = fields.Char("Price Book", required=True, readonly=True)
    copied_at = fields.Timestamp("Copied at", required=True, readonly=True)
    prices = fields.Binary("Prices", required=True, readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('copied_at', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints += [
            ('party_unique', Unique(table, table.company, table.party),
                'kampanje.msg_price_list_party_unique'),
            ]

    @classmethod
    def refresh(cls):
        """Copy the prices that have changed; run by cron."""
        Connection = Pool().get('kampanje.connection')
        cls.refresh_connections(list(map(int, Connection.search([]))))

    @classmethod
    def refresh_connections(cls, ids):
        Connection = Pool().get('kampanje.connection')
        deadline = time.monotonic() + MAX_REFRESH_SECONDS
        for id_ in ids:
            with without_check_access():
                connection = Connection(id_)
                company = connection.company.id
                try:
                    with Transaction().set_context(
                            company=company, companies=[company]):
                        cls._refresh(Connection(id_), deadline)
                except (Unavailable, Refused) as error:
                    logger.info('Prices not copied, url=%s, error=%s',
                        connection.url, error)

    @classmethod
    def _refresh(cls, connection, deadline):
        pool = Pool()
        Date = pool.get('ir.date')
        Party = pool.get('party.party')
        company = connection.company
        with Transaction().set_context(company=company.id):
            today = Date.today()
            parties = Party.browse(cls._customers(connection, today))
        lists = {p.party.id: p for p in cls.search([('company', '=', company.id)])}
        wanted = set(map(int, parties))
        cls.delete([p for i, p in lists.items() if i not in wanted])
        changed = {}
        # The least recent copies first, in case the time does not suffice for all.
        for party in sorted(parties, key=lambda p: (
                    p.id in lists and lists[p.id].copied_at or dt.datetime.min, p.id)):
            currency = party.customer_currency or company.currency
            copy = lists.get(party.id)
            if copy and copy.date == today and copy.currency == currency:
                version = (copy.book, copy.version)
                if version not in changed:
                    changed[version] = connection.client.book_changed(*version)
                if not changed[version]:
                    continue
            if time.monotonic() > deadline:
                logger.warning('No time to copy all prices, company=%s', company.id)
                return
            cls._fetch(connection, party, currency, today, copy)

    @classmethod
    def _customers(cls, connection, today):
        Sale = Pool().get('sale.sale')
        if not connection.copy_days:
            return []
        parties = {}
        # A bounded number of sales, the newest first, names the customers.
        for sale in Sale.search([
                    ('company', '=', connection.company.id),
                    ('party.code', '!=', None),
                    ('create_date', '>=', dt.datetime.combine(
                            today - dt.timedelta(days=connection.copy_days),
                            dt.time.min)),
                    ], order=[('create_date', 'DESC')], limit=100 * MAX_CUSTOMERS):
            parties.setdefault(sale.party.id)
            if len(parties) == MAX_CUSTOMERS:
                break
        return list(parties)

    @classmethod
    def _fetch(cls, connection, party, currency, date, copy):
        contact = party.kampanje_number
        if not contact:
            return
        try:
            version, book, body = connection.client.effective_prices(
                contact, date, currency.code)
        except Refused as refused:
            if refused.concerns_credentials:
                raise
            # The service does not know the contact yet, or it has no exchange rate.
            logger.info('No prices for party=%s, error=%s', party.id, refused)
            return
        if copy is None:
            copy = cls(company=connection.company, party=party)
        copy.currency = currency
        copy.date = date
        copy.version = version
        copy.book = book
        copy.copied_at = dt.datetime.now()
        copy.prices = gzip.compress(body, compresslevel=6)
        copy.save()

    @classmethod
    @without_check_access
    def find(cls, company, party, currency, date, item, variant, unit, quantity):
        """Return the copied price with its list, or None.

        A copy is valid from its date until the date on which its price can change.
        """
        copies = cls.search([
                ('company', '=', company.id),
                ('party', '=', party.id),
                ('currency', '=', currency.id),
                ('date', '<=', date),
                ])
        if not copies:
            return None
        copy, = copies
        needle = json.dumps(item, ensure_ascii=False).encode()
        rows = [
            json.loads(line)
            for line in gzip.decompress(copy.prices).splitlines() if needle in line]
        rows = [
            r for r in rows
            if r['itemNumber'] == item and r['unitOfMeasureCode'] == unit]
        own = [r for r in rows if r.get('variantCode') == variant]
        rows = own or [r for r in rows if r.get('variantCode') is None]
        rows = sorted(
            (r for r in rows if Decimal(r['minimumQuantity']) <= quantity),
            key=lambda r: Decimal(r['minimumQuantity']))
        if not rows:
            return None
        row = rows[-1]
        until = row.get('validUntil')
        if 'problem' in row or (until and until <= date.isoformat()):
            return None
        return copy, row


