# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
import datetime as dt
import logging
from decimal import Decimal
from urllib.parse import urlencode

from trytond.i18n import gettext
from trytond.model import ModelView, Workflow, fields
from trytond.modules.currency.fields import Monetary
from trytond.modules.product import price_digits, round_price
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import Transaction

from . import wire
from .client import MAX_QUOTE_LINES, Refused, Unavailable
from .product import tax_percent

logger = logging.getLogger(__name__)

MAX_OFFER_LENGTH = 200
# Sources whose prices may be replaced by those of the service.
REPLACEABLE = {'service', 'copy', 'fallback', 'tryton'}
# What a line keeps of the answer that priced it.
ANSWER_FIELDS = [
    'kampanje_offer', 'kampanje_version', 'kampanje_book', 'kampanje_date',
    'kampanje_price_line', 'kampanje_discount_line', 'kampanje_break_quantity',
    'kampanje_break_price']


def document_of(sale, lines):
    """Return the request for the prices of a document."""
    document = {
        'date': sale.kampanje_pricing_date.isoformat(),
        'pricesIncludeTax': False,
        # A party that the service has not received yet pays what everybody pays.
        'onUnknownContact': 'EVERYBODY',
        'lines': lines,
        }
    if sale.currency:
        document['currencyCode'] = sale.currency.code
    if sale.party and sale.party.kampanje_number:
        document['contactNumber'] = sale.party.kampanje_number
    return document


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'kampanje_price': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                })

    @property
    @fields.depends('sale_date', 'company')
    def kampanje_pricing_date(self):
        Date = Pool().get('ir.date')
        if self.sale_date:
            return self.sale_date
        with Transaction().set_context(
                company=self.company.id if self.company else None):
            return Date.today()

    @classmethod
    @ModelView.button
    def kampanje_price(cls, sales):
        """Price the lines of each sale by one request."""
        Line = Pool().get('sale.line')
        Connection = Pool().get('kampanje.connection')
        for sale in sales:
            connection = Connection.of(sale.company)
            lines = [
                l for l in sale.lines
                if l.type == 'line' and l.product
                and l.price_source in REPLACEABLE and not l._kampanje_is_return()]
            if not connection or not lines:
                continue
            questions = [(l, q) for l in lines if (q := l._kampanje_question())]
            try:
                answers = cls._kampanje_quote(
                    connection, sale, [q for _, q in questions])
            except (Unavailable, Refused) as error:
                logger.info('Sale not priced, sale=%s, error=%s', sale.id, error)
                # Earlier answers of the service stay. The copy replaces the rest.
                questions = [
                    (l, q) for l, q in questions if l.price_source != 'service']
                answers = [None] * len(questions)
            for (line, question), answer in zip(questions, answers, strict=True):
                line._kampanje_reprice(question, answer)
            Line.save([l for l, _ in questions])

    @classmethod
    def _kampanje_quote(cls, connection, sale, lines):
        """Return an answer for each line, all of one version of the price book."""
        answers = []
        for start in range(0, len(lines), MAX_QUOTE_LINES):
            document = document_of(sale, lines[start:start + MAX_QUOTE_LINES])
            if answers:
                quote = connection.client.quote_version(
                    document, quote['publicationVersion'], quote['bookId'])
            else:
                quote = connection.client.quote(document)
            answers.extend((quote, line) for line in quote['lines'])
        return answers

    @classmethod
    @ModelView.button
    @Workflow.transition('quotation')
    def quote(cls, sales):
        cls.kampanje_price(sales)
        super().quote(sales)

    @fields.depends('lines', 'state')
    def on_change_notify(self):
        notifications = super().on_change_notify()
        if self.state == 'draft':
            sources = {getattr(l, 'price_source', None) for l in self.lines or []}
            for source in ['copy', 'fallback']:
                if source in sources:
                    notifications.append(
                        ('warning', gettext('kampanje.msg_sale_price_%s' % source)))
        return notifications


class SaleLine(metaclass=PoolMeta):
    __name__ = 'sale.line'

    _invisible = {
        'invisible': ((Eval('type') != 'line')
            | ~Eval('price_source').in_(['service', 'copy'])),
        # Clients do not send fields that are always read-only.
        'readonly': True,
        }

    price_source = fields.Selection([
            (None, ""),
            ('service', "Campaign Service"),
            ('copy', "Copied Prices"),
            ('fallback', "Tryton, Service Unavailable"),
            ('tryton', "Tryton"),
            ('manual', "Manual"),
            ], "Price from", sort=False,
        states={
            'invisible': Eval('type') != 'line',
            'readonly': True,
            })
    kampanje_offer = fields.Char("Offer", states=_invisible)
    kampanje_version = fields.Integer("Version of the Price Book", states=_invisible)
    kampanje_book = fields.Char("Price Book", states=_invisible)
    kampanje_date = fields.Date("Priced for", states=_invisible)
    kampanje_price_line = fields.Char("Price Line", states=_invisible)
    kampanje_discount_line = fields.Char("Discount Line", states=_invisible)
    kampanje_break_quantity = fields.Float(
        "Next Quantity Break", digits='unit', states=_invisible,
        help="The quantity from which one unit is cheaper.")
    kampanje_break_price = Monetary(
        "Price from that Quantity", digits=price_digits, currency='currency',
        states=_invisible)
    kampanje_explanation = fields.Function(
        fields.Char("Why this Price", states=_invisible),
        'on_change_with_kampanje_explanation')

    del _invisible

    @fields.depends('price_source', 'product', 'unit_price', methods=['compute_unit_price'])
    def on_change_product(self):
        # Another product has no price yet that somebody could have set.
        if not (self.price_source == 'manual'
                and Transaction().context.get('kampanje_keep_manual')):
            self.price_source = None
        super().on_change_product()

    @fields.depends('price_source', 'unit_price', methods=['_kampanje_clear'])
    def on_change_unit_price(self):
        # No module below defines it today.
        parent = getattr(super(), 'on_change_unit_price', None)
        if parent:
            parent()
        self._kampanje_set_manually()

    @fields.depends(methods=['_kampanje_clear'])
    def _kampanje_set_manually(self):
        self._kampanje_clear()
        self.price_source = 'manual'

    @fields.depends(methods=['_kampanje_set_manually'])
    def on_change_discount_rate(self):
        super().on_change_discount_rate()
        self._kampanje_set_manually()

    @fields.depends(methods=['_kampanje_set_manually'])
    def on_change_discount_amount(self):
        super().on_change_discount_amount()
        self._kampanje_set_manually()

    @fields.depends(*ANSWER_FIELDS)
    def _kampanje_clear(self):
        for name in ANSWER_FIELDS:
            setattr(self, name, None)

    @fields.depends('quantity', 'sale', '_parent_sale.origin')
    def _kampanje_is_return(self):
        # The goods go back at the price that they were sold for.
        return bool(
            (self.quantity or 0) < 0 and self.sale
            and getattr(self.sale, 'origin', None)
            and getattr(self.sale.origin, '__name__', None) == 'sale.sale')

    @fields.depends(
        'price_source', 'unit_price', methods=['_kampanje_is_return'])
    def _kampanje_keeps_price(self):
        if self.unit_price is None:
            return False
        return self.price_source == 'manual' or (
            self.price_source in REPLACEABLE and self._kampanje_is_return())

    @fields.depends('product', 'quantity', 'unit', 'taxes')
    def _kampanje_question(self):
        """Return the line of the request, or None if the service cannot know it."""
        if not self.product:
            return None
        item, variant = self.product.kampanje_keys
        unit = self.unit.kampanje_key if self.unit else None
        quantity = wire.exact(self.quantity or 1)
        if not item or quantity is None or (self.unit and not unit):
            return None
        question = {'itemNumber': item, 'quantity': quantity}
        if variant:
            question['variantCode'] = variant
        if unit:
            question['unitOfMeasureCode'] = unit
        percent = tax_percent(self.taxes or [])
        if percent is not None:
            question['taxPercent'] = wire.decimal(percent)
        return question

    @fields.depends(
        'product', 'unit_price', 'base_price', 'price_source',
        'sale', '_parent_sale.party', '_parent_sale.currency', '_parent_sale.company',
        '_parent_sale.sale_date',
        methods=[
            '_kampanje_keeps_price', '_kampanje_question', '_kampanje_clear',
            '_kampanje_apply'])
    def compute_unit_price(self):
        Connection = Pool().get('kampanje.connection')
        if self._kampanje_keeps_price():
            return self.unit_price
        price = super().compute_unit_price()
        connection = Connection.of(self.sale.company) if self.sale else None
        if not self.product or not connection:
            return price
        self._kampanje_clear()
        self.price_source = 'tryton'
        question = self._kampanje_question()
        if not question:
            return price
        try:
            quote = connection.client.quote(document_of(self.sale, [question]))
            answer = (quote, quote['lines'][0])
        except (Unavailable, Refused) as error:
            logger.info('Sale line not priced, product=%s, error=%s',
                self.product.id, error)
            answer = None
        answered = self._kampanje_apply(question, answer)
        return price if answered is None else answered

    def _kampanje_reprice(self, question, answer):
        before = self.price_source
        price = self._kampanje_apply(question, answer)
        if price is None and before in {'service', 'copy'} and before != self.price_source:
            # The service does not price the line any more.
            price = super().compute_unit_price()
            self.base_price = super().compute_base_price()
        if price is not None:
            self.unit_price = price

    @fields.depends(
        'base_price', 'price_source', 'sale', '_parent_sale.party',
        '_parent_sale.currency', '_parent_sale.company', '_parent_sale.sale_date',
        methods=['_kampanje_clear'])
    def _kampanje_apply(self, question, answer):
        """Take the answer over, and return the net price or None if it has none."""
        PriceList = Pool().get('kampanje.price_list')
        if answer:
            quote, line = answer
            if 'problem' in line:
                if self.price_source in {'service', 'copy'}:
                    self._kampanje_clear()
                self.price_source = 'tryton'
                return None
            source, date = 'service', dt.date.fromisoformat(quote['date'])
            version, book = quote['publicationVersion'], quote['bookId']
        else:
            date = self.sale.kampanje_pricing_date
            found = None
            if self.sale.party and self.sale.currency and question.get(
                    'unitOfMeasureCode'):
                found = PriceList.find(
                    self.sale.company, self.sale.party, self.sale.currency, date,
                    question['itemNumber'], question.get('variantCode'),
                    question['unitOfMeasureCode'], abs(Decimal(question['quantity'])))
            if not found:
                if self.price_source != 'copy':
                    self.price_source = 'fallback'
                return None
            copy, line = found
            source, version, book = 'copy', copy.version, copy.book
        self._kampanje_clear()
        self.price_source = source
        self.kampanje_offer = wire.offer(
            line['source'], line.get('discountLine'))[:MAX_OFFER_LENGTH]
        self.kampanje_version = version
        self.kampanje_book = book
        self.kampanje_date = date
        self.kampanje_price_line = (line.get('priceLine') or {}).get('id')
        self.kampanje_discount_line = (line.get('discountLine') or {}).get('id')
        step = line.get('nextBreak')
        if step:
            self.kampanje_break_quantity = float(step['quantity'])
            self.kampanje_break_price = round_price(
                Decimal(step['unitPrice'])
                * (1 - Decimal(step['lineDiscountPercent']) / 100))
        self.base_price = round_price(Decimal(line['unitPrice']))
        return round_price(Decimal(line['netUnitPrice']))

    @fields.depends(
        'base_price', 'price_source', methods=['_kampanje_keeps_price'])
    def compute_base_price(self):
        # The answer has set the price before the discount with the net price.
        if self.price_source in {'service', 'copy'} or (
                self.base_price is not None and self._kampanje_keeps_price()):
            return self.base_price
        return super().compute_base_price()

    @fields.depends(
        'price_source', 'kampanje_version', 'kampanje_date', 'product', 'quantity', 'unit',
        'sale', '_parent_sale.party', '_parent_sale.company', '_parent_sale.currency')
    def on_change_with_kampanje_explanation(self, name=None):
        Connection = Pool().get('kampanje.connection')
        if self.price_source not in {'service', 'copy'} or not self.product:
            return None
        connection = Connection.of(self.sale.company) if self.sale else None
        if not connection:
            return None
        item, variant = self.product.kampanje_keys
        parameters = {
            'contact': self.sale.party.kampanje_number if self.sale.party else None,
            'item': item,
            'variant': variant,
            'unit': self.unit.kampanje_key if self.unit else None,
            'currency': self.sale.currency.code if self.sale.currency else None,
            'quantity': wire.decimal(abs(self.quantity or 1)),
            'date': self.kampanje_date.isoformat() if self.kampanje_date else None,
            'version': self.kampanje_version,
            }
        return '%s/price-check?%s' % (connection.desk, urlencode(
                {k: v for k, v in parameters.items() if v is not None}))

    @fields.depends('price_source')
    def on_change_notify(self):
        notifications = super().on_change_notify()
        if self.price_source in {'copy', 'fallback'}:
            notifications.append((
                    'warning', gettext('kampanje.msg_sale_price_%s' % self.price_source)))
        return notifications


class ModifyHeader(metaclass=PoolMeta):
    __name__ = 'sale.modify_header'

    def transition_modify(self):
        sale = self.get_sale()
        # A price that somebody set is in the currency in which it was set.
        keep = sale.currency == getattr(self.start, 'currency', sale.currency)
        with Transaction().set_context(kampanje_keep_manual=keep):
            return super().transition_modify()
