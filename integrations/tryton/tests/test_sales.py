# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Posted invoices and credit notes."""
from decimal import Decimal

from proteus import Wizard


def campaign(erp):
    party, product = erp.party(), erp.product('100')
    number = erp.code('CP')
    erp.service.activate_campaign(
        number, [party.code], prices=[{'itemNumber': product.code, 'unitPrice': '80'}])
    return party, product, number


def test_posted_invoice_is_attributed_to_the_campaign(erp):
    party, product, number = campaign(erp)
    sale = erp.sale(party, [(product, 3)])
    sale.save()
    invoice = erp.posted_invoice(sale)
    row, = erp.sales(invoice)
    line, = sale.lines
    assert row['documentType'] == 'INVOICE'
    assert row['contactNumber'] == party.code
    assert (row['quantity'], row['lineAmount']) == ('3', '240')
    assert row['publicationVersion'] == line.kampanje_version
    assert row['priceLineId'] == line.kampanje_price_line
    statistics = erp.service.call('GET', '/v1/campaigns/%s/statistics' % number)
    assert Decimal(statistics['salesAmount']) == 240


def test_manual_price_is_reported_without_version(erp):
    party, product, _ = campaign(erp)
    sale = erp.sale(party)
    erp.line(sale, product, 1).unit_price = Decimal('99')
    sale.save()
    row, = erp.sales(erp.posted_invoice(sale))
    assert row['lineAmount'] == '99'
    assert row.get('publicationVersion') is None
    assert row.get('priceLineId') is None


def test_amounts_are_in_local_currency(erp):
    party, product, _ = campaign(erp)
    sale = erp.sale(party, currency=erp.currency('SEK', '11.25'))
    erp.line(sale, product, 2)
    sale.save()
    row, = erp.sales(erp.posted_invoice(sale))
    assert row['currencyCode'] == 'SEK'
    assert row['lineAmount'] == '160'


def test_credit_note_refers_to_the_price_of_the_invoice(erp):
    party, product, number = campaign(erp)
    sale = erp.sale(party, [(product, 3)])
    sale.save()
    invoice = erp.posted_invoice(sale)
    credit = Wizard('account.invoice.credit', [invoice])
    credit.form.with_refund = False
    credit.execute('credit')
    note, = erp.model('account.invoice').find(
        [('lines.origin.id', '=', invoice.lines[0].id, 'account.invoice.line')])
    note.click('post')
    row, = erp.sales(note)
    assert row['documentType'] == 'CREDIT_MEMO'
    assert (row['quantity'], row['lineAmount']) == ('3', '240')
    assert row['priceLineId'] == sale.lines[0].kampanje_price_line
    statistics = erp.service.call('GET', '/v1/campaigns/%s/statistics' % number)
    assert Decimal(statistics['salesAmount']) == 0


def test_return_keeps_the_price_after_the_campaign(erp):
    party, product, number = campaign(erp)
    sale = erp.sale(party, [(product, 3)])
    sale.save()
    erp.posted_invoice(sale)
    erp.service.call('POST', '/v1/campaigns/%s/deactivations' % number, {})
    assert erp.line(erp.sale(party), product, 1).unit_price == Decimal('100')
    Wizard('sale.return_sale', [sale]).execute('return_')
    back, = erp.model('sale.sale').find([('origin', '=', 'sale.sale,%d' % sale.id)])
    back.click('kampanje_price')
    line, = back.lines
    assert line.unit_price == Decimal('80')
    line.quantity = -2
    assert line.unit_price == Decimal('80')
    back.save()
    row, = erp.sales(erp.posted_invoice(back))
    assert row['documentType'] == 'CREDIT_MEMO'
    assert (row['quantity'], row['lineAmount']) == ('2', '160')


def test_variant_and_unit_are_reported(erp):
    party = erp.party()
    product = erp.product('8', unit='Kilogram', suffixes=['-A'])
    sale = erp.sale(party, [(product, 2)])
    sale.save()
    row, = erp.sales(erp.posted_invoice(sale))
    assert row['itemNumber'] == product.template.code
    assert (row['variantCode'], row['unitOfMeasureCode']) == ('-A', 'KG')
