# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
from decimal import Decimal

from trytond.pool import Pool, PoolMeta
from trytond.transaction import Transaction

from . import wire

MAX_ORIGINS = 10


class Invoice(metaclass=PoolMeta):
    __name__ = 'account.invoice'

    @classmethod
    def _post(cls, invoices):
        Entry = Pool().get('kampanje.outbox')
        # Posting is also called for invoices that are posted already.
        new = [i for i in invoices if i.type == 'out' and i.state != 'posted']
        super()._post(invoices)
        for invoice in new:
            Entry.add_payloads(
                'sales', invoice.kampanje_sales(), company=invoice.company,
                record=invoice)

    def kampanje_sales(self):
        """Return the rows of the resource sales."""
        Currency = Pool().get('currency.currency')
        rows = []
        date = self.accounting_date or self.invoice_date

        def local(amount):
            with Transaction().set_context(date=self.currency_date):
                return wire.decimal(
                    Currency.compute(self.currency, amount, self.company.currency))

        # The position is stable: the lines of a posted invoice do not change.
        for position, line in enumerate(self.lines, start=1):
            if line.type != 'line' or not line.product or not line.quantity:
                continue
            item, variant = line.product.kampanje_keys
            sale_line = line.kampanje_sale_line
            party = sale_line.sale.party if sale_line else self.party
            contact = party.kampanje_number
            # A surcharge that is deducted has no place in the service's model of a sale.
            if not item or not contact or line.unit_price < 0:
                continue
            quantity = abs(Decimal(str(line.quantity)))
            row = {
                'documentType': 'INVOICE' if line.quantity > 0 else 'CREDIT_MEMO',
                'documentNumber': wire.key(self.number),
                'lineNumber': position,
                'postingDate': date.isoformat(),
                'contactNumber': contact,
                'itemNumber': item,
                'quantity': wire.decimal(quantity),
                'lineAmount': local(abs(line.amount)),
                'currencyCode': self.currency.code,
                }
            if variant:
                row['variantCode'] = variant
            if line.unit and line.unit.kampanje_key:
                row['unitOfMeasureCode'] = line.unit.kampanje_key
            if sale_line:
                if sale_line.base_price and sale_line.base_price > line.unit_price:
                    row['discountAmount'] = local(self.currency.round(
                            quantity * (sale_line.base_price - line.unit_price)))
                # An invoice line with another price was not priced by the service.
                if (sale_line.kampanje_version
                        and sale_line.unit_price == line.unit_price):
                    row['publicationVersion'] = sale_line.kampanje_version
                    if sale_line.kampanje_price_line:
                        row['priceLineId'] = sale_line.kampanje_price_line
                    if sale_line.kampanje_discount_line:
                        row['discountLineId'] = sale_line.kampanje_discount_line
            rows.append(row)
        return rows


class InvoiceLine(metaclass=PoolMeta):
    __name__ = 'account.invoice.line'

    @property
    def kampanje_sale_line(self):
        """The sale line that the invoice line comes from, also for a credit note."""
        pool = Pool()
        SaleLine = pool.get('sale.line')
        origin = self.origin
        for _ in range(MAX_ORIGINS):
            if isinstance(origin, SaleLine) and origin.id >= 0:
                return origin
            if not isinstance(origin, self.__class__):
                return None
            origin = origin.origin
        return None
