#!/usr/bin/env python3
"""Asks the page of an agent about a packet, as somebody with a browser does, and prints what it shows.

    ask_page.py URL QUESTION [FROM]

    clicks 1, keys Enter: ingress-no-match | http-404 | marked: The browser asks

Needs chromium with chromium-driver and python3-selenium.
"""

import shutil
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait


def main(url, question, source=""):
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"):
        options.add_argument(word)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        browser.get(url)
        wait = WebDriverWait(browser, 60)
        clicks = 0
        wait.until(lambda _: browser.find_elements(By.LINK_TEXT, "A packet"))[0].click()
        clicks += 1
        if source:
            wait.until(lambda _: browser.find_elements(By.ID, "from"))[0].send_keys(source)
        wait.until(lambda _: browser.find_elements(By.ID, "to"))[0].send_keys(question + Keys.ENTER)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".answer, .empty.bad"))
        texts = [one.text for one in browser.find_elements(By.CSS_SELECTOR, ".findings > .bad > code")]
        client = [one.text.removeprefix("The client sees: ").rstrip(". ")
                  for one in browser.find_elements(By.CSS_SELECTOR, ".client b")]
        marked = [one.text for one in browser.find_elements(By.CSS_SELECTOR, ".hook.last h3, .hook.bad h3")]
        print(f"clicks {clicks}, keys Enter: {' '.join(texts) or 'no problem'} | {' '.join(client)} | marked: {', '.join(marked)}")
    finally:
        browser.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
