# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Prices on sale lines and on whole documents."""
import datetime as dt
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from proteus import Wizard


@pytest.fixture
def offer(erp):
    """A customer, a product, and a campaign with a price and a quantity break."""
    party, product = erp.party(), erp.product('100')
    number = erp.code('CP')
    erp.service.activate_campaign(
        number, [party.code],
        prices=[
            {'itemNumber': product.code, 'unitPrice': '80'},
            {'itemNumber': product.code, 'unitPrice': '70', 'minimumQuantity': '10'}],
        discounts=[{'itemNumber': product.code, 'lineDiscountPercent': '5'}])
    return party, product, number


def test_line_shows_the_campaign_price_and_where_it_comes_from(erp, offer):
    party, product, number = offer
    sale = erp.sale(party)
    line = erp.line(sale, product, 2)
    quote = erp.quote(party, product, 2)
    answer, = quote['lines']
    assert line.price_source == 'service'
    assert line.base_price == Decimal('80')
    assert line.unit_price == Decimal('76')
    assert line.discount_rate == Decimal('0.05')
    assert line.amount == Decimal('152.00')
    assert line.kampanje_offer == 'CAMPAIGN ' + number
    assert line.kampanje_version == quote['publicationVersion']
    assert line.kampanje_book == quote['bookId']
    assert line.kampanje_price_line == answer['priceLine']['id']
    assert line.kampanje_discount_line == answer['discountLine']['id']
    assert line.kampanje_break_quantity == 10
    assert line.kampanje_break_price == Decimal('66.5')
    page, _, query = line.kampanje_explanation.partition('?')
    assert page == erp.service.url + '/desk/price-check'
    assert dict(parse_qsl(query)) == {
        'contact': party.code, 'item': product.code, 'unit': 'U', 'currency': 'EUR',
        'quantity': '2', 'date': quote['date'],
        'version': str(quote['publicationVersion'])}
    sale.save()
    # The fields are sent by clients and stored.
    line, = erp.model('sale.sale')(sale.id).lines
    assert line.kampanje_price_line == answer['priceLine']['id']
    assert line.kampanje_book == quote['bookId']


def test_quantity_changes_the_price(erp, offer):
    party, product, _ = offer
    line = erp.line(erp.sale(party), product, 10)
    assert line.unit_price == Decimal('66.5')
    assert line.kampanje_break_quantity is None
    line.quantity = 9
    assert line.unit_price == Decimal('76')


def test_customer_outside_the_campaign_pays_the_list_price(erp, offer):
    _, product, _ = offer
    line = erp.line(erp.sale(erp.party()), product, 1)
    assert line.price_source == 'service'
    assert line.unit_price == Decimal('100')
    assert line.kampanje_offer == 'LIST_PRICE'


def test_service_refuses_unknown_item_and_tryton_prices_it(erp):
    product = erp.product('33')
    erp.service.call('DELETE', '/v1/items/' + product.code, headers={'if-match': '*'})
    line = erp.line(erp.sale(erp.party()), product, 1)
    assert (line.price_source, line.unit_price) == ('tryton', Decimal('33'))
    assert line.kampanje_version is None


def test_party_that_the_service_does_not_know_pays_what_everybody_pays(erp):
    party, product = erp.party(), erp.product('100')
    erp.service.call('POST', '/v1/prices', {
            'source': {'type': 'ALL_CUSTOMERS'}, 'itemNumber': product.code,
            'unitPrice': '90'})
    erp.service.call('DELETE', '/v1/contacts/' + party.code, headers={'if-match': '*'})
    line = erp.line(erp.sale(party), product, 1)
    assert (line.price_source, line.unit_price) == ('service', Decimal('90'))


def test_foreign_currency_is_priced_by_the_rates_of_tryton(erp, offer):
    _, product, _ = offer
    party = erp.party()
    sek = erp.currency('SEK', '11.25')
    sale = erp.sale(party, currency=sek)
    line = erp.line(sale, product, 1)
    assert line.price_source == 'service'
    assert line.unit_price == Decimal('1125')
    expected = erp.quote(party, product, 1, currencyCode='SEK')['lines'][0]
    assert line.unit_price == Decimal(expected['netUnitPrice'])


def test_unit_of_the_line_is_priced(erp):
    party, product = erp.party(), erp.product('8', unit='Kilogram')
    gram, = erp.model('product.uom').find([('name', '=', 'Gram')])
    line = erp.line(erp.sale(party), product, 1)
    assert line.unit_price == Decimal('8')
    line.unit = gram
    assert line.price_source == 'service'
    assert line.unit_price == Decimal('0.008')
    pound, = erp.model('product.uom').find([('name', '=', 'Pound')])
    line.unit = pound
    assert line.price_source == 'tryton'
    assert line.unit_price == Decimal('3.6287')


def test_variant_of_the_line_is_priced(erp):
    party = erp.party()
    product = erp.product('50', suffixes=['-RED', '-BLUE'])
    red, blue = sorted(
        product.template.products, key=lambda p: p.suffix_code, reverse=True)
    number = erp.code('CP')
    erp.service.activate_campaign(number, [party.code], prices=[{
                'itemNumber': product.template.code, 'variantCode': '-RED',
                'unitPrice': '45'}])
    assert erp.line(erp.sale(party), red, 1).unit_price == Decimal('45')
    assert erp.line(erp.sale(party), blue, 1).unit_price == Decimal('50')


def test_tax_of_the_line_reaches_a_price_that_includes_tax(erp):
    party, product = erp.party(), erp.product('100')
    erp.service.call('POST', '/v1/prices', {
            'source': {'type': 'CONTACT', 'contactNumber': party.code},
            'itemNumber': product.code, 'unitPrice': '100', 'priceIncludesTax': True})
    line = erp.line(erp.sale(party), product, 1)
    assert line.unit_price == Decimal('80')


def test_date_of_the_sale_decides(erp):
    party, product = erp.party(), erp.product('100')
    erp.service.activate_campaign(
        erp.code('CP'), [party.code], start='2031-05-01', end='2031-05-31',
        prices=[{'itemNumber': product.code, 'unitPrice': '60'}])
    assert erp.line(erp.sale(party), product, 1).unit_price == Decimal('100')
    during = erp.sale(party, date=dt.date(2031, 5, 31))
    assert erp.line(during, product, 1).unit_price == Decimal('60')


@pytest.mark.parametrize('change', [
        ('unit_price', Decimal('42')),
        ('discount_rate', Decimal('0.5')),
        ('discount_amount', Decimal('30'))])
def test_manual_price_is_preserved(erp, offer, change):
    party, product, _ = offer
    sale = erp.sale(party)
    line = erp.line(sale, product, 1)
    name, value = change
    setattr(line, name, value)
    manual = line.unit_price
    assert manual != Decimal('76')
    assert line.price_source == 'manual'
    assert line.kampanje_version is None and line.kampanje_price_line is None
    line.quantity = 10
    assert line.unit_price == manual
    sale.save()
    sale.click('kampanje_price')
    sale.click('quote')
    line, = sale.lines
    assert (line.price_source, line.unit_price) == ('manual', manual)


def test_manual_price_survives_another_customer_but_not_another_product(erp, offer):
    party, product, _ = offer
    sale = erp.sale(erp.party())
    erp.line(sale, product, 1).unit_price = Decimal('42')
    erp.line(sale, product, 1)
    sale.save()
    modify = Wizard('sale.modify_header', [sale])
    modify.form.party = party
    modify.execute('modify')
    sale.reload()
    manual, priced = sale.lines
    assert (manual.price_source, manual.unit_price) == ('manual', Decimal('42'))
    assert (priced.price_source, priced.unit_price) == ('service', Decimal('76'))
    manual.product = erp.product('12')
    assert (manual.price_source, manual.unit_price) == ('service', Decimal('12'))


def test_quote_prices_the_whole_document_by_one_version(erp):
    party = erp.party()
    products = [erp.product(str(10 + n)) for n in range(5)]
    sale = erp.sale(party, [(p, 1) for p in products])
    sale.save()
    assert [l.unit_price for l in sale.lines] == [10, 11, 12, 13, 14]
    erp.service.activate_campaign(erp.code('CP'), [party.code], prices=[
            {'itemNumber': p.code, 'unitPrice': '5'} for p in products])
    sale.click('quote')
    assert sale.state == 'quotation'
    assert [l.unit_price for l in sale.lines] == [5] * 5
    assert len({l.kampanje_version for l in sale.lines}) == 1
    assert sale.untaxed_amount == 25


def test_lines_that_other_code_has_priced_are_not_touched(erp, offer):
    """Code that creates lines with a price, as an import does, has decided it."""
    from proteus import config

    from trytond.pool import Pool
    from trytond.transaction import Transaction
    party, product, _ = offer
    sale = erp.sale(party)
    sale.save()
    unit = product.default_uom.id
    database = config.get_config().database_name
    with Transaction().start(database, 1, context=config.get_config().context):
        Line = Pool(database).get('sale.line')
        Line.create([{
                    'sale': sale.id, 'product': product.id, 'quantity': 1,
                    'unit': unit, 'unit_price': Decimal('7')}])
    sale.reload()
    sale.click('quote')
    assert sale.lines[0].unit_price == 7


def test_negative_quantity_has_the_price_of_the_positive_one(erp, offer):
    party, product, _ = offer
    line = erp.line(erp.sale(party), product, -10)
    assert line.unit_price == Decimal('66.5')
    assert line.amount == Decimal('-665.00')
