# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""One company in Tryton and in the campaign service."""
import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import harness

DATABASE = 'fjellvik'
MAX_SECONDS = 86400
STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM]
PRODUCTS = [
    ('TENT-2', 'Tent for two', '249', '140'),
    ('TENT-4', 'Tent for four', '399', '230'),
    ('BOOT-M', 'Hiking boots', '179', '95'),
    ('STOVE', 'Camping stove', '59.90', '31'),
    ]
CUSTOMERS = [
    ('FJELLSPORT', 'Fjellsport', 'Bergen'),
    ('TURBUTIKKEN', 'Turbutikken', 'Tromsø'),
    ('SEILMAKER', 'Seilmakeriet', 'Stavanger'),
    ]


def load(service):
    """Fill both systems, and return the id of an order with campaign prices."""
    from proteus import Model
    from trytond.modules.company.tests.tools import get_company
    service.call('PATCH', '/v1/settings', {
            'localCurrencyCode': 'EUR', 'timeZone': 'Europe/Oslo'}, {'if-match': '*'})
    connection = Model.get('kampanje.connection')(
        company=get_company(), url=service.url, api_key=service.integrator_key())
    connection.save()
    connection.click('check')
    unit, = Model.get('product.uom').find([('name', '=', 'Unit')])
    category, = Model.get('product.category').find([('name', '=', 'Goods')])
    products = {}
    for code, name, price, cost in PRODUCTS:
        template = Model.get('product.template')(name=name, code=code, type='goods')
        template.default_uom = template.sale_uom = unit
        template.salable = True
        template.list_price = Decimal(price)
        template.account_category = category
        template.products[0].cost_price = Decimal(cost)
        template.save()
        products[code] = template.products[0]
    parties = {}
    for code, name, city in CUSTOMERS:
        party = Model.get('party.party')(name=name, code=code)
        party.addresses[0].city = city
        party.save()
        parties[code] = party
    # The worker sends them.
    harness.wait_until(
        lambda: not Model.get('kampanje.outbox').find([]), harness.START_TIMEOUT,
        'the queue worker')
    service.activate_campaign(
        'SUMMER', ['FJELLSPORT', 'TURBUTIKKEN'],
        prices=[
            {'itemNumber': 'TENT-2', 'unitPrice': '199'},
            {'itemNumber': 'TENT-2', 'unitPrice': '189', 'minimumQuantity': '20'},
            {'itemNumber': 'BOOT-M', 'unitPrice': '149'}],
        discounts=[{'itemNumber': 'TENT-2', 'lineDiscountPercent': '5'}])
    term, = Model.get('account.invoice.payment_term').find([('name', '=', '30 days')])
    sale = Model.get('sale.sale')(party=parties['FJELLSPORT'])
    sale.payment_term = term
    sale.description = 'Order at the fair'
    for code, quantity in [('TENT-2', 10), ('BOOT-M', 4), ('STOVE', 2)]:
        line = sale.lines.new()
        line.product = products[code]
        line.quantity = quantity
    sale.save()
    return sale.id


def start(stack, sao, service_port=None, port=None):
    """Start everything, and return the web client's URL, the service and the order's id."""
    directory = Path(tempfile.mkdtemp(prefix='kampanje-demo-'))
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    postgres = stack.enter_context(harness.Postgres(directory / 'postgres'))
    service = stack.enter_context(harness.Service(
            directory / 'service', harness.service_binary(), service_port))
    port = port or harness.free_port()
    config = directory / 'trytond.conf'
    harness.write_config(
        config, postgres, worker=True, web='127.0.0.1:%d' % port, root=sao)
    harness.create_template(postgres, DATABASE, config)
    log = stack.enter_context(open(directory / 'trytond.log', 'w'))
    for program in ['trytond', 'trytond-worker', 'trytond-cron']:
        process = harness.start_group(
            [program, '-c', str(config), '-d', DATABASE]
            + (['-n', '1'] if program == 'trytond-worker' else []), log)
        stack.callback(harness.stop_group, process)
        if program == 'trytond':
            harness.wait_until(
                lambda: _listens(port), harness.START_TIMEOUT, 'trytond', process)
    order = subprocess.run(
        [sys.executable, __file__, '--load', service.url, service.key],
        check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return 'http://127.0.0.1:%d' % port, service, int(order.stdout.split()[-1])


def _listens(port):
    try:
        socket.create_connection(('127.0.0.1', port), timeout=1).close()
        return True
    except OSError:
        return False


def interrupt(*_):
    """Unwind the stack, which stops every process, without another interruption."""
    for signal_ in STOP_SIGNALS:
        signal.signal(signal_, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sao', required=True, help="directory of the web client")
    parser.add_argument('--port', type=int, default=8000, help="port of Tryton")
    parser.add_argument('--service-port', type=int, default=8080)
    parser.add_argument(
        '--seconds', type=int, default=8 * 3600,
        help="end after this time (default: %(default)s)")
    arguments = parser.parse_args()
    for signal_ in STOP_SIGNALS:
        signal.signal(signal_, interrupt)
    try:
        with ExitStack() as stack:
            print('Creating the company in Tryton takes one or two minutes.', flush=True)
            url, service, order = start(
                stack, arguments.sao, arguments.service_port, arguments.port)
            print('Tryton:   %s/#%s/model/sale.sale/%d' % (url, DATABASE, order))
            print('          user admin, password %s' % harness.PASSWORD)
            print('Kampanje: %s/docs/, API key %s' % (service.url, service.key))
            print('Ctrl+C ends both.', flush=True)
            time.sleep(min(arguments.seconds, MAX_SECONDS))
    except KeyboardInterrupt:
        pass


def load_in_process(url, key):
    """Load the data from a process that keeps no connection to the database."""
    import os

    from proteus import config, Model
    config.set_trytond(DATABASE, config_file=os.environ['TRYTOND_CONFIG'])
    config.get_config()._context = Model.get('res.user').get_preferences(True, {})
    service = harness.Service.__new__(harness.Service)
    service.url, service.key = url, key
    print(load(service))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--load']:
        load_in_process(*sys.argv[2:4])
    else:
        main()
