# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
from trytond.model import fields
from trytond.pool import Pool, PoolMeta

from . import wire

MAX_NAME_LENGTH = 100


def _changed(parties):
    Entry = Pool().get('kampanje.outbox')
    Entry.add('contacts', list(parties))


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    kampanje_type = fields.Selection([
            (None, ""),
            ('COMPANY', "Company"),
            ('PERSON', "Person"),
            ], "Campaign Contact",
        help="The kind of contact in the campaign service.\n"
        "Leave empty to keep the party out of it.")

    @classmethod
    def default_kampanje_type(cls):
        return 'COMPANY'

    @property
    def kampanje_number(self):
        """The number of the contact in the campaign service, or None."""
        return wire.key(self.code) if self.kampanje_type else None

    @classmethod
    def on_modification(cls, mode, parties, field_names=None):
        super().on_modification(mode, parties, field_names=field_names)
        if mode == 'delete':
            Entry = Pool().get('kampanje.outbox')
            Entry.add_payloads('contacts', [
                    {'number': p.kampanje_number, 'delete': True}
                    for p in parties if p.kampanje_number])
        else:
            _changed(parties)

    @classmethod
    def kampanje_contacts(cls, parties):
        """Return the rows of the resource contacts.

        They have the fields that Tryton knows. Groups, exclusions and objections are
        kept by the service.
        """
        Company = Pool().get('company.company')
        own = {c.party.id for c in Company.search([])}
        rows = []
        for party in parties:
            number = party.kampanje_number
            if not number or party.id in own:
                continue
            row = {
                'number': number,
                'type': party.kampanje_type,
                'name': wire.text(party.name, MAX_NAME_LENGTH) or number,
                'languageCode': wire.key(party.lang.code) if party.lang else None,
                'currencyCode': (
                    party.customer_currency.code if party.customer_currency else None),
                'customer': {'number': number},
                }
            address = party.address_get()
            if address:
                row.update({
                        'address': wire.text(address.street, 100),
                        'postCode': wire.text(address.postal_code, 20),
                        'city': wire.text(address.city, 50),
                        'county': wire.text(
                            address.subdivision.name if address.subdivision else '', 50),
                        'countryCode': address.country.code if address.country else None,
                        })
            email = wire.text(party.email, 254)
            if email and email == (party.email or '').strip():
                row['email'] = email
            phone = wire.text(party.phone or party.mobile, 50)
            if phone:
                row['phone'] = phone
            rows.append(row)
        return rows


class Address(metaclass=PoolMeta):
    __name__ = 'party.address'

    @classmethod
    def on_modification(cls, mode, addresses, field_names=None):
        super().on_modification(mode, addresses, field_names=field_names)
        _changed({a.party for a in addresses if a.party})


class ContactMechanism(metaclass=PoolMeta):
    __name__ = 'party.contact_mechanism'

    @classmethod
    def on_modification(cls, mode, mechanisms, field_names=None):
        super().on_modification(mode, mechanisms, field_names=field_names)
        _changed({m.party for m in mechanisms if m.party})
