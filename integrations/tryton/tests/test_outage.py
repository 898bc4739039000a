# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""The service is stopped, or it hangs."""
import time
from contextlib import contextmanager
from decimal import Decimal

import pytest
from harness import START_TIMEOUT, wait_until


@pytest.fixture(params=['stopped', 'hanging'])
def outage(request, fragile, patience):
    """A context manager in which the service is away, with the timeout of production."""
    service = fragile.service
    begin, end = {
        'stopped': (service.stop, service.start),
        'hanging': (service.pause, service.resume),
        }[request.param]

    @contextmanager
    def run():
        begin()
        try:
            with quote_timeout(patience):
                yield
        finally:
            end()
            wait_until(service._ready, START_TIMEOUT, 'the service')
            close_breakers()
    return run


@contextmanager
def quote_timeout(seconds):
    from trytond.modules.kampanje import client
    before = client.QUOTE_TIMEOUT
    client.QUOTE_TIMEOUT = seconds
    try:
        yield
    finally:
        client.QUOTE_TIMEOUT = before


def close_breakers():
    """Let requests through, although the interval is not over."""
    from trytond.modules.kampanje.client import Client
    for client in list(Client._clients.values()):
        client.breaker.succeeded()


def notifications(sale):
    from proteus import config
    Sale = config.get_config().get_proxy('sale.sale')
    return Sale.on_change_notify(
        {'id': sale.id, 'state': sale.state, 'lines': [
                {'id': l.id, 'price_source': l.price_source} for l in sale.lines]},
        config.get_config().context)


def test_outage_loses_nothing_and_stops_nobody(fragile, outage):
    erp = fragile
    party, known, other = erp.party(), erp.product('100'), erp.product('30')
    stranger = erp.party()
    erp.service.activate_campaign('SPRING', [party.code], prices=[
            {'itemNumber': known.code, 'unitPrice': '80'},
            {'itemNumber': known.code, 'unitPrice': '70', 'minimumQuantity': '10'}])
    # A sale makes the customer one whose prices are copied.
    before = erp.sale(party, [(known, 1)])
    before.save()
    erp.cron('kampanje.price_list|refresh')
    copy, = erp.model('kampanje.price_list').find([('party', '=', party.id)])

    with outage():
        sale = erp.sale(party, [(known, 1), (known, 12), (other, 1)])
        assert [(l.price_source, l.unit_price) for l in sale.lines] == [
            ('copy', 80), ('copy', 70), ('copy', 30)]
        line = sale.lines[0]
        assert line.kampanje_offer == 'CAMPAIGN SPRING'
        assert line.kampanje_version == copy.version
        assert line.kampanje_price_line
        sale.save()
        assert [kind for kind, _ in notifications(sale)] == ['warning']
        sale.click('quote')
        assert sale.state == 'quotation'
        assert sale.untaxed_amount == 80 + 12 * 70 + 30

        # Nobody has copied the prices of this customer.
        fallback = erp.sale(stranger, [(known, 1)])
        assert fallback.lines[0].price_source == 'fallback'
        assert fallback.lines[0].unit_price == 100
        fallback.save()
        assert [kind for kind, _ in notifications(fallback)] == ['warning']

        # Earlier prices of the service stay.
        before.click('quote')
        assert before.lines[0].price_source == 'service'
        assert before.lines[0].unit_price == 80

        invoice = erp.posted_invoice(before_confirmed(before))
        new = erp.product('55')
        assert {e.resource for e in erp.waiting()} >= {'items', 'sales'}
    erp.cron('kampanje.connection|send_waiting')
    assert erp.waiting() == []
    assert erp.item(new)['listPrice'] == '55'
    row, = erp.sales(invoice)
    assert row['lineAmount'] == '80'
    fallback.click('kampanje_price')
    assert fallback.lines[0].price_source == 'service'
    erp.connection.reload()
    assert erp.connection.error is None


def before_confirmed(sale):
    # posted_invoice quotes, so the sale goes back to draft.
    sale.click('draft')
    return sale


def test_circuit_breaker_ends_the_waiting(fragile, patience):
    from trytond.modules.kampanje import client
    assert patience == 0.5
    erp = fragile
    party, product = erp.party(), erp.product('100')
    erp.service.pause()
    try:
        with quote_timeout(patience):
            erp.line(erp.sale(party), product, 1)
        shared = next(
            c for name, c in client.Client._clients.items() if erp.service.url in name)
        assert not shared.breaker.allows()
        with pytest.raises(client.Unavailable, match='not tried'):
            shared.quote({'lines': [{'itemNumber': product.code}]})
    finally:
        erp.service.resume()
    close_breakers()
    assert erp.line(erp.sale(party), product, 1).price_source == 'service'


def test_breaker_lets_one_request_try(monkeypatch, patience):
    from trytond.modules.kampanje.client import BREAKER_INTERVAL, Breaker
    now = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    breaker = Breaker()
    assert breaker.allows()
    breaker.failed()
    now += BREAKER_INTERVAL - 0.1
    assert not breaker.allows()
    now += 0.1
    assert breaker.allows()
    # The others wait for the result of this request.
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()


def test_copied_prices_are_those_of_the_service(fragile):
    """Every customer, product, variant and quantity: the copy and the service agree."""
    from proteus import config

    from trytond.pool import Pool
    from trytond.transaction import Transaction
    erp = fragile
    parties = [erp.party() for _ in range(6)]
    products = [erp.product(str(Decimal('9.99') * n)) for n in range(1, 9)]
    variants = erp.product('50', suffixes=['-RED', '-BLUE']).template
    erp.service.activate_campaign(
        'SPRING', [p.code for p in parties[:3]],
        prices=[
            {'itemNumber': p.code, 'unitPrice': str(5 + n), 'minimumQuantity': str(n)}
            for n, p in enumerate(products[:4], start=1)]
        + [{'itemNumber': variants.code, 'variantCode': '-RED', 'unitPrice': '41.5'}],
        discounts=[{'itemNumber': products[5].code, 'lineDiscountPercent': '7.5'}])
    for party in parties[:2]:
        erp.service.call('POST', '/v1/discounts', {
                'source': {'type': 'CONTACT', 'contactNumber': party.code},
                'itemNumber': products[0].code, 'lineDiscountPercent': '3',
                'minimumQuantity': '20'})
    for party in parties:
        erp.sale(party).save()
    erp.cron('kampanje.price_list|refresh')
    compared = 0
    company = erp.company().id
    database = config.get_config().database_name
    with Transaction().start(database, 1, context=config.get_config().context):
        pool = Pool(database)
        PriceList = pool.get('kampanje.price_list')
        Company, Party = pool.get('company.company'), pool.get('party.party')
        Date, Product = pool.get('ir.date'), pool.get('product.product')
        company = Company(company)
        for party in parties:
            everything = Product.search([])
            questions = [
                (p, Decimal(q)) for p in everything
                for q in ['0.5', '1', '2', '3.5', '4', '19', '20', '100']]
            answers = erp.service.call('POST', '/v1/price-quotes', {
                    'contactNumber': party.code, 'pricesIncludeTax': False,
                    'lines': [
                        {'itemNumber': p.kampanje_keys[0],
                            'variantCode': p.kampanje_keys[1],
                            'unitOfMeasureCode': 'U', 'quantity': str(q)}
                        for p, q in questions]})
            for (product, quantity), answer in zip(
                    questions, answers['lines'], strict=True):
                item, variant = product.kampanje_keys
                _, row = PriceList.find(
                    company, Party(party.id), company.currency, Date.today(), item,
                    variant, 'U', quantity)
                for name in ['unitPrice', 'lineDiscountPercent', 'netUnitPrice']:
                    assert row[name] == answer[name], (item, variant, quantity)
                assert row.get('priceLine') == answer.get('priceLine')
                compared += 1
    assert compared == 6 * 10 * 8


def test_copy_follows_changes_and_ends_with_the_campaign(fragile):
    import datetime as dt
    erp = fragile
    PriceList = erp.model('kampanje.price_list')
    party, product = erp.party(), erp.product('100')
    today = dt.date.today()
    tomorrow = today + dt.timedelta(days=1)
    erp.sale(party).save()
    erp.cron('kampanje.price_list|refresh')
    first, = PriceList.find([])
    erp.cron('kampanje.price_list|refresh')
    same, = PriceList.find([])
    assert same.copied_at == first.copied_at
    erp.service.activate_campaign(
        'TODAY', [party.code], end=today.isoformat(),
        prices=[{'itemNumber': product.code, 'unitPrice': '80'}])
    erp.cron('kampanje.price_list|refresh')
    second, = PriceList.find([])
    assert second.version > first.version
    erp.service.stop()
    assert erp.line(erp.sale(party), product, 1).unit_price == 80
    # The copy knows until when it is valid.
    later = erp.line(erp.sale(party, date=tomorrow), product, 1)
    assert (later.price_source, later.unit_price) == ('fallback', 100)
