# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
from bisect import bisect_right
from decimal import Decimal

from trytond.modules.product import price_digits
from trytond.pool import Pool, PoolMeta
from trytond.transaction import Transaction

from . import wire


def _changed(currencies):
    Entry = Pool().get('kampanje.outbox')
    Entry.add('currencies', currencies)
    Entry.add('exchange-rates', currencies)


class Currency(metaclass=PoolMeta):
    __name__ = 'currency.currency'

    @classmethod
    def on_modification(cls, mode, currencies, field_names=None):
        super().on_modification(mode, currencies, field_names=field_names)
        if mode != 'delete':
            _changed(currencies)

    @classmethod
    def kampanje_currencies(cls, currencies):
        """Return the rows of the resource currencies."""
        precision = wire.decimal(Decimal(1).scaleb(-min(price_digits[1], 5)))
        return [{
                'code': c.code,
                'description': wire.text(c.name, 100),
                'unitAmountPrecision': precision,
                'amountPrecision': wire.decimal(c.rounding),
                } for c in currencies if c.code and len(c.code) == 3 and c.rounding > 0]

    @classmethod
    def kampanje_exchange_rates(cls, currencies):
        """Return the rows of the resource exchange-rates, for the company's currency."""
        pool = Pool()
        Company = pool.get('company.company')
        local = Company(Transaction().context['company']).currency
        local_dates, local_rates = cls._kampanje_rates(local)
        rows = []
        for currency in currencies:
            if currency == local:
                # The rates of all other currencies are relative to this one.
                others = cls.search([('id', '!=', local.id)])
                rows.extend(cls.kampanje_exchange_rates(others))
                continue
            dates, rates = cls._kampanje_rates(currency)
            for date in sorted(set(dates) | set(local_dates)):
                index = bisect_right(dates, date)
                if not index:
                    continue
                local_index = bisect_right(local_dates, date)
                if local_dates and not local_index:
                    continue
                # A currency without rates counts 1, as the base of all rates does.
                local_rate = local_rates[local_index - 1] if local_index else Decimal(1)
                rate = wire.decimal(rates[index - 1] / local_rate, wire.RATE_DIGITS)
                if Decimal(rate) > 0:
                    rows.append({
                            'currencyCode': currency.code,
                            'startingDate': date.isoformat(),
                            'rate': rate,
                            })
        return rows

    @classmethod
    def _kampanje_rates(cls, currency):
        rates = sorted((r.date, r.rate) for r in currency.rates if r.rate)
        return [d for d, _ in rates], [r for _, r in rates]


class Rate(metaclass=PoolMeta):
    __name__ = 'currency.currency.rate'

    @classmethod
    def on_modification(cls, mode, rates, field_names=None):
        super().on_modification(mode, rates, field_names=field_names)
        currencies = {r.currency for r in rates if r.currency}
        if mode == 'delete':
            # The service keeps the rate of a day until it is deleted by name.
            Entry = Pool().get('kampanje.outbox')
            for rate in rates:
                if rate.currency and rate.currency.code and rate.date:
                    Entry.add_payloads('exchange-rates', [{
                                'currencyCode': rate.currency.code,
                                'startingDate': rate.date.isoformat(),
                                'delete': True,
                                }])
        _changed(list(currencies))
