# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
from decimal import Decimal
from unittest import TestCase

from trytond.modules.kampanje import wire
from trytond.tests.test_tryton import ModuleTestCase


class KampanjeTestCase(ModuleTestCase):
    "Test Kampanje module"
    module = 'kampanje'


class WireTestCase(TestCase):
    "Test conversions"

    def test_key(self):
        for code, key in [
                ('tent-2', 'TENT-2'), (' rød ', 'RØD'), ('A/B 1', 'A/B 1'), ('', None),
                (None, None), ('A  B', None), ('A\tB', None), ('x' * 51, None)]:
            self.assertEqual(wire.key(code), key)

    def test_decimal(self):
        for value, string in [
                (Decimal('100.0000'), '100'), (Decimal('0.10'), '0.1'), (0.1, '0.1'),
                (Decimal(0), '0'), (1e-05, '0.00001'), (Decimal('1E+3'), '1000'),
                (-3.5, '-3.5'), (None, None)]:
            self.assertEqual(wire.decimal(value), string)

    def test_exact(self):
        self.assertEqual(wire.exact(0.001), '0.001')
        self.assertIsNone(wire.exact(0.45359237))
        self.assertIsNone(wire.exact(Decimal(1) / 3))

    def test_offer(self):
        self.assertEqual(wire.offer(
                {'type': 'CAMPAIGN', 'campaignNumber': 'SUMMER'},
                {'source': {'type': 'CUSTOMER_DISCOUNT_GROUP', 'code': 'DEALER'}}),
            'CAMPAIGN SUMMER + CUSTOMER_DISCOUNT_GROUP DEALER')
        self.assertEqual(wire.offer({'type': 'LIST_PRICE'}, None), 'LIST_PRICE')


del ModuleTestCase
