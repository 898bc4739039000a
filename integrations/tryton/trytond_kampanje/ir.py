# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
from trytond.pool import PoolMeta


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.extend([
                ('kampanje.connection|send_waiting', "Send Changes to Campaign Service"),
                ('kampanje.connection|send_everything',
                    "Compare Master Data with Campaign Service"),
                ('kampanje.price_list|refresh', "Copy Prices of Campaign Service"),
                ])
