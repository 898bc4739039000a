# This file is part of trytond_kampanje. The file LICENSE of its distribution
# contains the licence: GPL-3.0-or-later.
"""Takes screenshots of an order line with a campaign price and of its explanation.

Needs the environment of demo with selenium and pillow, and Debian's chromium-driver.
"""
import argparse
import io
from contextlib import ExitStack
from pathlib import Path

import demo
import harness
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

TIMEOUT = 120
SIZE = 1280, 1120
EXPECTED = ['Campaign Service', 'CAMPAIGN SUMMER', '189.0500', '199.0000']
EXPLAINED = ['SUMMER', '189.05', '199']


def browser(stack):
    options = webdriver.ChromeOptions()
    options.binary_location = '/usr/bin/chromium'
    for argument in [
            'headless=new', 'no-sandbox', 'disable-gpu', 'no-first-run', 'lang=en',
            'disable-background-networking', 'disable-component-update', 'disable-sync',
            'window-size=%d,%d' % SIZE]:
        options.add_argument('--' + argument)
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService('/usr/bin/chromedriver'))
    stack.callback(driver.quit)
    return driver


def values(driver):
    """Return what the inputs and selections of the page show."""
    return driver.execute_script('''
        return Array.from(document.querySelectorAll('input, select'))
            .filter(e => e.offsetParent)
            .map(e => e.tagName == 'SELECT'
                ? (e.selectedOptions[0] || {text: ''}).text : e.value)''')


def login(driver, url, order):
    wait = WebDriverWait(driver, TIMEOUT)
    driver.get('%s/#%s/model/sale.sale/%d' % (url, demo.DATABASE, order))
    name = wait.until(lambda d: next(
            (e for e in d.find_elements(By.ID, 'login') if e.is_displayed()), None))
    # The list of databases arrives later than the dialog.
    database = wait.until(lambda d: next(
            (e for e in d.find_elements(By.ID, 'database') if e.is_displayed()), None))
    if database.tag_name == 'select':
        Select(database).select_by_value(demo.DATABASE)
    name.clear()
    name.send_keys('admin')
    driver.find_element(By.CSS_SELECTOR, '.login-dialog button[type=submit]').click()
    password = wait.until(lambda d: next(
            (e for e in d.find_elements(By.CSS_SELECTOR, 'input[type=password]')
                if e.is_displayed()), None))
    password.send_keys(harness.PASSWORD + '\n')
    wait.until(lambda d: 'Order at the fair' in values(d))


def open_line(driver):
    wait = WebDriverWait(driver, TIMEOUT)
    row = wait.until(lambda d: next(
            (e for e in d.find_elements(By.CSS_SELECTOR, '.form-one2many tbody tr')
                if 'TENT-2' in e.text or 'Tent for two' in e.text), None))
    row.click()
    # The button that shows the line as a form.
    switch = row.find_element(
        By.XPATH, './ancestor::*[contains(@class, "form-one2many")]'
        '//button[@title="Switch"]')
    switch.click()
    wait.until(lambda d: 'Campaign Service' in ' '.join(values(d)))


def open_explanation(driver, service):
    """Open the page that the line names, with the API key that a person would enter."""
    wait = WebDriverWait(driver, TIMEOUT)
    link = next(
        v for v in values(driver) if v.startswith(service.url + '/desk/price-check?'))
    driver.get(service.url + '/desk/icon.svg')
    driver.execute_script(
        "sessionStorage.setItem('kampanje.token', arguments[0])", service.key)
    driver.get(link)
    wait.until(lambda d: all(
            text in d.find_element(By.TAG_NAME, 'body').text for text in EXPLAINED))


def save(driver, path):
    image = Image.open(io.BytesIO(driver.get_screenshot_as_png()))
    # A user interface has few colours.
    image.convert('RGB').quantize(48).save(path, optimize=True)
    print('%s: %d bytes' % (path, path.stat().st_size))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sao', required=True)
    parser.add_argument('directory', type=Path, help="of tryton-*.png, such as docs")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        url, service, order = demo.start(stack, arguments.sao)
        driver = browser(stack)
        login(driver, url, order)
        open_line(driver)
        shown = ' '.join(values(driver))
        for text in EXPECTED:
            assert text in shown, (text, shown)
        save(driver, arguments.directory / 'tryton-sale-line.png')
        open_explanation(driver, service)
        save(driver, arguments.directory / 'tryton-explanation.png')


if __name__ == '__main__':
    main()
