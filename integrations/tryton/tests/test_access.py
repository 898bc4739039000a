# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Access rights, the API key, the queue worker, and languages."""
from decimal import Decimal

import harness
import pytest


@pytest.fixture
def salesperson(erp):
    """Tryton as it is for a user of the group Sales."""
    User, Group = erp.model('res.user'), erp.model('res.group')
    login = erp.code('seller').lower()
    user = User(name='Seller', login=login)
    user.groups.extend(Group.find([('name', 'in', ['Sales'])]))
    user.companies.append(erp.company())
    user.company = erp.company()
    user.save()
    erp.use(login)
    yield erp
    erp.use()


def test_salesperson_prices_sales_but_sees_no_connection(erp, salesperson):
    from trytond.model.exceptions import AccessError
    erp.use()
    party, product = erp.party(), erp.product('100')
    erp.service.activate_campaign(
        erp.code('CP'), [party.code], prices=[
            {'itemNumber': product.code, 'unitPrice': '80'}])
    login = erp.model('res.user').find([('name', '=', 'Seller')])[-1].login
    erp.use(login)
    sale = erp.sale(party, [(product, 1)])
    assert sale.lines[0].unit_price == 80
    sale.save()
    sale.click('kampanje_price')
    assert sale.lines[0].price_source == 'service'
    for name in ['kampanje.connection', 'kampanje.outbox', 'kampanje.price_list']:
        with pytest.raises(AccessError):
            erp.model(name).find([])
    with pytest.raises(AccessError):
        erp.model('kampanje.connection')(erp.connection.id).url  # noqa: B018


def test_nobody_reads_the_api_key(erp):
    from proteus import config

    from trytond.model.exceptions import AccessError
    Connection = config.get_config().get_proxy('kampanje.connection')
    context = config.get_config().context
    row, = Connection.read([erp.connection.id], ['api_key'], context)
    assert row['api_key'] == 'x' * 10
    with pytest.raises(AccessError):
        Connection.read([erp.connection.id], ['api_key_stored'], context)
    with pytest.raises(AccessError):
        Connection.search(
            [('api_key_stored', 'like', 'k%')], 0, None, None, context)
    # A client that saves the mask does not replace the key.
    Connection.write([erp.connection.id], {'api_key': 'x' * 10}, context)
    erp.connection.click('check')


def test_wrong_configuration_is_named(erp):
    from trytond.exceptions import UserError
    from trytond.model.exceptions import ValidationError
    connection = erp.model('kampanje.connection')(erp.connection.id)
    good = connection.url
    connection.url = 'ftp://example.com'
    with pytest.raises(ValidationError, match='http'):
        connection.save()
    connection.reload()
    key = erp.service.call('POST', '/v1/api-keys', {'name': 'Shop', 'roles': ['SHOP']})
    connection.api_key = key['secret']
    connection.save()
    try:
        with pytest.raises(UserError, match='sales:write'):
            connection.click('check')
        connection.api_key = 'kmp_wrong'
        connection.save()
        with pytest.raises(UserError, match='cannot be used'):
            connection.click('check')
    finally:
        connection.url = good
        connection.api_key = erp.service.integrator_key()
        connection.save()
    connection.click('check')


def test_outbox_is_not_edited(erp):
    from proteus import config

    from trytond.model.exceptions import AccessError
    Entry = config.get_config().get_proxy('kampanje.outbox')
    with pytest.raises(AccessError):
        Entry.create([{
                    'company': erp.company().id, 'resource': 'items', 'attempts': 0,
                    'payload': '{"number": "X"}'}], config.get_config().context)


def test_queue_worker_sends_the_changes(erp, tmp_path):
    from trytond import config as trytond_config
    trytond_config.set('queue', 'worker', 'True')
    try:
        product = erp.product('61')
    finally:
        trytond_config.set('queue', 'worker', 'False')
    entries = [e for e in erp.waiting() if e.record == product.template]
    assert entries
    config_file = tmp_path / 'worker.conf'
    config_file.write_text(
        erp.config_file.read_text().replace('worker = False', 'worker = True'))
    worker = harness.start_group(
        ['trytond-worker', '-c', str(config_file), '-d', erp.database, '-n', '1',
            '-t', '1'], None)
    try:
        harness.wait_until(
            lambda: not [e for e in erp.waiting() if e.record == product.template],
            harness.START_TIMEOUT, 'the queue worker', worker)
    finally:
        harness.stop_group(worker)
    assert erp.item(product)['listPrice'] == '61'


def test_norwegian_labels(erp):
    from proteus import config
    norwegian, = erp.model('ir.lang').find([('code', '=', 'nb')])
    norwegian.click('load_translations')
    Line = config.get_config().get_proxy('sale.line')
    context = {**config.get_config().context, 'language': 'nb'}
    labels = Line.fields_get(['kampanje_offer', 'price_source'], 0, context)
    assert labels['kampanje_offer']['string'] == 'Tilbud'
    assert dict(labels['price_source']['selection'])['service'] == 'Kampanjetjenesten'


def test_company_has_one_connection(erp):
    from trytond.model.exceptions import SQLConstraintError
    second = erp.model('kampanje.connection')(
        company=erp.company(), url=erp.service.url)
    with pytest.raises(SQLConstraintError):
        second.save()


def test_nightly_comparison_repairs_the_service(erp):
    product = erp.product('25')
    erp.service.call(
        'PATCH', '/v1/items/' + product.code, {'listPrice': '1'}, {'if-match': '*'})
    erp.cron('kampanje.connection|send_everything')
    assert Decimal(erp.item(product)['listPrice']) == 25
