# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""What the service receives of products, parties and currencies."""
import datetime as dt
from decimal import Decimal

import pytest


def test_product_is_an_item_with_units_cost_and_tax(erp):
    product = erp.product('12.34', unit='Kilogram', cost='5.5')
    item = erp.item(product)
    assert item['listPrice'] == '12.34'
    assert item['unitCost'] == '5.5'
    assert item['taxPercent'] == '25'
    assert item['priceIncludesTax'] is False
    assert item['blocked'] is False
    assert item['baseUnitOfMeasureCode'] == 'KG'
    units = {u['code']: u['quantityPerUnit'] for u in item['unitsOfMeasure']}
    assert units['KG'] == '1'
    assert units['G'] == '0.001'
    # A pound has more digits than the service keeps, so it would be priced wrongly.
    assert 'LB' not in units
    assert erp.waiting() == []


def test_changed_price_is_sent_and_unknown_fields_stay(erp):
    product = erp.product('10')
    path = '/v1/items/' + product.code
    erp.service.call(
        'PATCH', path, {'itemDiscountGroupCode': 'TENTS'}, {'if-match': '*'})
    product.template.list_price = Decimal('11.5')
    product.template.save()
    item = erp.item(product)
    assert item['listPrice'] == '11.5'
    assert item['itemDiscountGroupCode'] == 'TENTS'


def test_variants_of_one_template(erp):
    product = erp.product('50', suffixes=['-RED', '-BLUE'])
    template = product.template
    item = erp.service.call('GET', '/v1/items/' + template.code)
    assert {v['code'] for v in item['variants']} == {'-RED', '-BLUE'}
    assert item['listPrice'] == '50'


def test_inactive_product_is_blocked(erp):
    product = erp.product()
    product.template.active = False
    product.template.save()
    assert erp.item(product)['blocked'] is True


def test_deleted_product_is_blocked(erp):
    product = erp.product()
    code = product.code
    product.template.delete()
    assert erp.service.call('GET', '/v1/items/' + code)['blocked'] is True


def test_party_is_a_contact_with_customer_number(erp):
    party = erp.party()
    party.addresses[0].street = 'Havnegata 1'
    party.addresses[0].city = 'Bergen'
    party.addresses[0].postal_code = '5003'
    party.save()
    path = '/v1/contacts/' + party.code
    contact = erp.service.call('GET', path)
    assert contact['type'] == 'COMPANY'
    assert contact['customer']['number'] == party.code
    assert (contact['postCode'], contact['city']) == ('5003', 'Bergen')
    # Groups belong to the service.
    erp.service.call('PATCH', path, {
            'customer': {'discountGroupCode': 'DEALER'}, 'industryGroups': ['SPORT']},
        {'if-match': '*'})
    party.name = 'Fjellsport'
    party.save()
    contact = erp.service.call('GET', path)
    assert contact['name'] == 'Fjellsport'
    assert contact['customer']['discountGroupCode'] == 'DEALER'
    assert contact['industryGroups'] == ['SPORT']


def test_party_without_type_is_not_sent(erp):
    party = erp.model('party.party')(name='Employee', code=erp.code('E'))
    party.kampanje_type = None
    party.save()
    with pytest.raises(Exception, match='404|NOT_FOUND'):
        erp.service.call('GET', '/v1/contacts/' + party.code)


def test_currency_has_precisions_and_rates_to_the_local_currency(erp):
    erp.currency('SEK', '11.25')
    currency = erp.service.call('GET', '/v1/currencies/SEK')
    assert currency['unitAmountPrecision'] == '0.0001'
    assert currency['amountPrecision'] == '0.01'
    rates = erp.service.call(
        'GET', "/v1/exchange-rates?filter=currencyCode%20eq%20'SEK'")['value']
    assert ('2020-01-01', '11.25') in [(r['startingDate'], r['rate']) for r in rates]


def test_refused_row_waits_with_its_reason_and_the_others_are_sent(erp):
    # The service keeps the units that lines use.
    product = erp.product(unit='Kilogram')
    erp.service.call('POST', '/v1/prices', {
            'source': {'type': 'ALL_CUSTOMERS'}, 'itemNumber': product.code,
            'unitOfMeasureCode': 'G', 'unitPrice': '0.1'})
    Uom = erp.model('product.uom')
    gram, = Uom.find([('name', '=', 'Gram')])
    gram.kampanje_code = 'GRAM'
    gram.save()
    try:
        product.template.list_price = Decimal('99')
        product.template.save()
        other = erp.product('77')
        assert erp.item(other)['listPrice'] == '77'
        entries = [e for e in erp.waiting() if e.record == product.template]
        assert entries and entries[0].attempts == 1
        assert entries[0].next_attempt > dt.datetime.now()
        assert 'G' in entries[0].error
    finally:
        gram.kampanje_code = None
        gram.save()
    entries[0].click('retry')
    assert erp.item(product)['listPrice'] == '99'
    assert [e for e in erp.waiting() if e.record == product.template] == []


def test_rolled_back_change_is_not_sent(erp):
    """The outbox entry is part of the transaction of the change."""
    from proteus import config

    from trytond.pool import Pool
    from trytond.transaction import Transaction
    product = erp.product('10')
    template = product.template.id
    database = config.get_config().database_name
    with Transaction().start(database, 1) as transaction:
        Template = Pool(database).get('product.template')
        Entry = Pool(database).get('kampanje.outbox')
        Template.write([Template(template)], {'list_price': Decimal('66')})
        assert Entry.search([('record', '=', 'product.template,%d' % template)])
        transaction.rollback()
        transaction.tasks.clear()
    assert erp.waiting() == []
    erp.connection.click('send_all')
    assert erp.item(product)['listPrice'] == '10'
