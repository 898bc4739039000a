# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Tryton's own test of a module: views, access, depends, buttons, and so on."""
import os
import subprocess
import sys


def test_module_case_of_tryton(postgres, template, directory):
    # In a process of its own, because its user and its cache are not those of proteus.
    database = 'module_test'
    postgres.create(database, 'template_modules')
    subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--pyargs',
            'trytond.modules.kampanje.tests.test_module'],
        check=True, timeout=300, cwd=directory,
        env={**os.environ, 'DB_NAME': database})
