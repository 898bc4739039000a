# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
import datetime as dt
import json
from collections import OrderedDict

from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)

from .client import MAX_BATCH_ROWS, Refused

MAX_ERROR_LENGTH = 2000
MAX_RETRY_INTERVAL = dt.timedelta(hours=6)


class Entry(ModelSQL, ModelView):
    """A change that the campaign service has not received yet."""
    __name__ = 'kampanje.outbox'

    # In this order, because sales name items and contacts.
    _resources = ['currencies', 'exchange-rates', 'items', 'contacts', 'sales']

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True, ondelete='CASCADE')
    resource = fields.Selection([
            ('currencies', "Currency"),
            ('exchange-rates', "Exchange Rates"),
            ('items', "Item"),
            ('contacts', "Contact"),
            ('sales', "Sale"),
            ], "Resource", required=True, readonly=True)
    record = fields.Reference(
        "Record", selection='get_records', readonly=True,
        help="The record of which the current values are sent.")
    payload = fields.Text(
        "Payload", readonly=True,
        help="The values to send, if they are not those of a record.")
    attempts = fields.Integer("Attempts", required=True, readonly=True)
    next_attempt = fields.DateTime("Next Attempt", readonly=True)
    error = fields.Text("Error", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('id', 'ASC')]
        table = cls.__table__()
        cls._sql_indexes.add(Index(
                table,
                (table.company, Index.Equality()),
                (table.resource, Index.Equality()),
                (table.id, Index.Range())))
        cls._buttons.update({'retry': {}})

    @classmethod
    def default_attempts(cls):
        return 0

    @classmethod
    def get_records(cls):
        get_name = Pool().get('ir.model').get_name
        return [(None, '')] + [
            (m, get_name(m)) for m in [
                'currency.currency', 'product.product', 'product.template',
                'party.party', 'account.invoice']]

    @classmethod
    @without_check_access
    def add(cls, resource, records, company=None):
        """Note that the records have to be sent, in the transaction that changes them."""
        cls._add([
                {'resource': resource, 'record': str(record)} for record in records],
            company)

    @classmethod
    @without_check_access
    def add_payloads(cls, resource, payloads, company=None, record=None):
        """Note values to send that no record has, in the transaction of the change."""
        cls._add([{
                    'resource': resource,
                    'record': str(record) if record else None,
                    'payload': json.dumps(payload),
                    } for payload in payloads], company)

    @classmethod
    def _add(cls, values, company):
        Connection = Pool().get('kampanje.connection')
        if not values:
            return
        domain = [('company', '=', company.id)] if company else []
        connections = Connection.search(domain)
        if not connections:
            return
        first = not Transaction().create_records[cls.__name__]
        cls.create([
                {'company': c.company.id, **v} for c in connections for v in values])
        if first:
            # One task for all changes of the transaction.
            Connection.__queue__.send(Connection.search([]))

    @classmethod
    def send(cls, connection, client):
        """Send what is due, and delete what the service has received."""
        for resource in cls._resources:
            last = 0
            while True:
                entries = cls.search([
                        ('company', '=', connection.company.id),
                        ('resource', '=', resource),
                        ('id', '>', last),
                        ['OR',
                            ('next_attempt', '=', None),
                            ('next_attempt', '<=', dt.datetime.now())],
                        ], order=[('id', 'ASC')], limit=MAX_BATCH_ROWS)
                if not entries:
                    break
                last = entries[-1].id
                errors = {}
                for sent, error in cls._send_rows(
                        client, resource, cls._rows(resource, entries)):
                    for entry in sent:
                        # An entry with several rows has failed if one of them has.
                        errors[entry.id] = errors.get(entry.id) or error
                cls.delete([e for e in entries if errors.get(e.id) is None])
                cls._failed([e for e in entries if errors.get(e.id)], errors)

    @classmethod
    def _rows(cls, resource, entries):
        """Return the rows to send, each with its entries; several changes make one row."""
        pool = Pool()
        methods = {
            'currencies': 'kampanje_currencies',
            'exchange-rates': 'kampanje_exchange_rates',
            'items': 'kampanje_items',
            'contacts': 'kampanje_contacts',
            }
        rows = OrderedDict()

        def add(row, entry):
            name = json.dumps([
                    row.get(n) for n in (
                        'number', 'code', 'currencyCode', 'startingDate', 'documentType',
                        'documentNumber', 'lineNumber')])
            # The last row has the current values.
            others = rows.pop(name, (None, []))[1]
            rows[name] = (row, others + [entry])

        seen = {}
        for entry in entries:
            if entry.payload:
                add(json.loads(entry.payload), entry)
                continue
            if not entry.record:
                # A reference to a deleted record is empty.
                continue
            model, id_ = str(entry.record).split(',')
            Model = pool.get(model)
            if (model, id_) not in seen:
                with inactive_records():
                    records = Model.search([('id', '=', int(id_))])
                seen[model, id_] = (
                    getattr(Model, methods[resource])(records) if records else [])
            # No row: the record is deleted, or the service does not need it.
            for row in seen[model, id_]:
                add(row, entry)
        return list(rows.values())

    @classmethod
    def _send_rows(cls, client, resource, rows):
        """Send rows, and yield the entries of each with its error or None."""
        for start in range(0, len(rows), MAX_BATCH_ROWS):
            part = rows[start:start + MAX_BATCH_ROWS]
            try:
                receipts = client.batch(resource, [r for r, _ in part])
            except Refused as refused:
                if refused.concerns_credentials or refused.status == 404:
                    raise
                if len(part) == 1:
                    yield part[0][1], str(refused)
                else:
                    # One malformed row refuses the whole request.
                    middle = len(part) // 2
                    yield from cls._send_rows(client, resource, part[:middle])
                    yield from cls._send_rows(client, resource, part[middle:])
                continue
            for (row, entries), receipt in zip(part, receipts, strict=True):
                error = None
                deleted = row.get('delete') and receipt['status'] == 404
                if receipt['status'] >= 300 and not deleted:
                    error = '\n'.join(
                        ['%s: %s' % (receipt.get('code'), receipt.get('detail'))]
                        + ['%s: %s' % (e.get('pointer'), e.get('detail'))
                            for e in receipt.get('errors') or []])
                yield entries, error

    @classmethod
    def _failed(cls, entries, errors):
        now = dt.datetime.now()
        for entry in entries:
            entry.attempts += 1
            entry.error = errors[entry.id][:MAX_ERROR_LENGTH]
            entry.next_attempt = now + min(
                dt.timedelta(minutes=2 ** min(entry.attempts, 10)), MAX_RETRY_INTERVAL)
        cls.save(entries)

    @classmethod
    @ModelView.button
    def retry(cls, entries):
        Connection = Pool().get('kampanje.connection')
        with without_check_access():
            cls.write(entries, {'next_attempt': None})
            Connection.__queue__.send(Connection.search([
                        ('company', 'in', [e.company.id for e in entries])]))
