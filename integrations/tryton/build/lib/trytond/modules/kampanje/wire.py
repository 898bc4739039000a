# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Conversions between the values of Tryton and those of the service's JSON."""
import unicodedata
from decimal import ROUND_HALF_EVEN, Decimal

# The service's limits for keys, descriptions and decimals.
MAX_KEY_LENGTH = 50
AMOUNT_DIGITS = 5
RATE_DIGITS = 10


def key(code):
    """Return the code as the service stores it, or None if it cannot be a key."""
    if not code:
        return None
    code = unicodedata.normalize('NFC', code.strip().upper())
    if len(code) > MAX_KEY_LENGTH or '  ' in code or not code.isprintable():
        return None
    return code or None


def text(value, size):
    """Return the first line of a text in at most that many characters, or None."""
    lines = (value or '').strip().splitlines()
    return (lines[0].strip()[:size].strip() or None) if lines else None


def decimal(value, digits=AMOUNT_DIGITS):
    """Return a number as the decimal string of the service, or None."""
    if value is None:
        return None
    if not isinstance(value, Decimal):
        # The shortest representation of a float is the number that a person entered.
        value = Decimal(str(value))
    value = value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)
    return format(value.normalize() if value else Decimal(0), 'f')


def exact(value, digits=AMOUNT_DIGITS):
    """Return the decimal string of a number that has no more digits, else None."""
    string = decimal(value, digits)
    if string is None or abs(Decimal(string) - Decimal(str(value))) > Decimal('1e-12'):
        return None
    return string


def offer(price_source, discount_line):
    """Return a short text for the sources of a price and of its discount."""
    def name(source):
        detail = next(filter(None, (
                    source.get(n)
                    for n in ('campaignNumber', 'code', 'contactNumber'))), None)
        return ' '.join(filter(None, (source['type'], detail)))
    names = [name(price_source)]
    if discount_line:
        granted = name(discount_line['source'])
        if granted not in names:
            names.append(granted)
    return ' + '.join(names)
