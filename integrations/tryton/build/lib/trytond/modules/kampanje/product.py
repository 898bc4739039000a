# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
from decimal import Decimal

from trytond.model import fields
from trytond.modules.account_product.exceptions import AccountError, TaxError
from trytond.pool import Pool, PoolMeta
from trytond.transaction import Transaction

from . import wire

MAX_UNITS = 100


def tax_percent(taxes):
    """Return the sum of the rates in percent, or None if there are other taxes."""
    percent = Decimal(0)
    for tax in taxes:
        if tax.type == 'percentage':
            percent += tax.rate * 100
        elif tax.type == 'fixed':
            return None
        if tax.childs:
            children = tax_percent(tax.childs)
            if children is None:
                return None
            percent += children
    return percent if 0 <= percent <= 100 else None


class UnitOfMeasure(metaclass=PoolMeta):
    __name__ = 'product.uom'

    kampanje_code = fields.Char(
        "Code for Campaign Prices",
        help="The code of the unit in the campaign service.\n"
        "Leave empty to use the English symbol.")

    @property
    def kampanje_key(self):
        """The code of the unit in the campaign service, or None."""
        if self.kampanje_code:
            return wire.key(self.kampanje_code)
        # The symbol is translated, and the code must be the same for all users.
        with Transaction().set_context(language='en'):
            return wire.key(self.__class__(self.id).symbol)


class Template(metaclass=PoolMeta):
    __name__ = 'product.template'

    @classmethod
    def on_modification(cls, mode, templates, field_names=None):
        super().on_modification(mode, templates, field_names=field_names)
        if mode != 'delete':
            Entry = Pool().get('kampanje.outbox')
            Entry.add('items', templates)

    @classmethod
    def kampanje_items(cls, templates):
        """Return the rows of the resource items.

        A template is an item, and its products with a suffix are the variants.
        """
        rows = []
        for template in templates:
            with Transaction().set_context(active_test=False):
                products = list(cls(template.id).products)
            items = {}
            for product in products:
                number, variant = product.kampanje_keys
                if number:
                    items.setdefault(number, []).append((variant, product))
            for number, variants in items.items():
                rows.append(template._kampanje_item(number, variants))
        return rows

    def _kampanje_item(self, number, variants):
        products = [p for _, p in variants]
        main = next((p for v, p in variants if not v and p.active), products[0])
        row = {
            'number': number,
            'description': wire.text(main.name, 100) or number,
            'blocked': not (self.salable and any(p.active for p in products)),
            'listPrice': wire.decimal(main.list_price_used),
            'priceIncludesTax': False,
            'variants': [
                {'code': v, 'description': wire.text(p.name, 100) or v}
                for v, p in variants if v],
            }
        if main.cost_price:
            row['unitCost'] = wire.decimal(main.cost_price)
        base = self.default_uom.kampanje_key
        if base:
            row['baseUnitOfMeasureCode'] = base
            row['unitsOfMeasure'] = self._kampanje_units(base)
        try:
            percent = tax_percent(self.customer_taxes_used)
        except (AccountError, TaxError):
            # The accounting of the product is not complete yet.
            percent = None
        if percent is not None:
            row['taxPercent'] = wire.decimal(percent)
        return row

    def _kampanje_units(self, base):
        Uom = Pool().get('product.uom')
        units = {base: '1'}
        for uom in self.default_uom.category.uoms:
            code = uom.kampanje_key
            if not code or code in units or len(units) == MAX_UNITS:
                continue
            quantity = Uom.compute_qty(uom, 1, self.default_uom, round=False)
            # A factor that the service cannot store exactly would lead to wrong prices.
            exact = wire.exact(quantity)
            if exact and Decimal(exact) > 0:
                units[code] = exact
        return [{'code': c, 'quantityPerUnit': q} for c, q in units.items()]


class Product(metaclass=PoolMeta):
    __name__ = 'product.product'

    @property
    def kampanje_keys(self):
        """The numbers of the item and of the variant in the campaign service, or None.

        A product with a list price of its own is an item of its own, because the
        variants of an item have one list price.
        """
        number, variant = wire.key(self.template.code), wire.key(self.suffix_code)
        if number and variant and self.list_price is None:
            return number, variant
        return wire.key(self.code), None

    @classmethod
    def on_modification(cls, mode, products, field_names=None):
        super().on_modification(mode, products, field_names=field_names)
        Entry = Pool().get('kampanje.outbox')
        if mode == 'delete':
            # An item is not deleted, because prices and sales refer to it.
            Entry.add_payloads('items', [
                    {'number': p.kampanje_keys[0], 'blocked': True}
                    for p in products if p.kampanje_keys[0] and not p.kampanje_keys[1]
                    and len(p.template.products) <= 1])
        Entry.add('items', list({p.template for p in products if p.template}))


class _Price:
    __slots__ = ()

    @classmethod
    def on_modification(cls, mode, prices, field_names=None):
        super().on_modification(mode, prices, field_names=field_names)
        Entry = Pool().get('kampanje.outbox')
        Entry.add('items', list({
                    t for p in prices
                    if (t := getattr(p, 'template', None)
                        or (p.product.template if p.product else None))}))


class ListPrice(_Price, metaclass=PoolMeta):
    __name__ = 'product.list_price'


class CostPrice(_Price, metaclass=PoolMeta):
    __name__ = 'product.cost_price'
