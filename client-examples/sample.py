#!/usr/bin/env python3
"""Writes sample.csv: 2,000 rows of a shop's orders, the same at every run. RFC 4180, UTF-8, CRLF."""

import csv
import pathlib
import random

NAMES = ["Jürgen Groß", "Zoë Núñez", "Łukasz Żak", "Åsa Öberg", "O'Brien, Pat", "田中 花子", "Maria Rossi", "Ann Lee"]
CITIES = ["Köln", "São Paulo", "Łódź", "Malmö", "Paris, Texas", "東京", "Torino", "Leeds"]
ITEMS = ['Shelf, oak', '27" screen', "Café set", "Lamp", 'Frame "Nord", black', "Desk"]
NOTES = ["", "", "", "urgent", "Say \"hello\", please", "Ring twice,\r\nthen wait", "line one\nline two"]


def rows(seed=4180):
    """The header, then the orders."""
    dice = random.Random(seed)
    yield ["order", "customer", "city", "item", "price", "note"]
    for number in range(1, 2001):
        cells = [dice.choice(choices) for choices in (NAMES, CITIES, ITEMS)]
        yield [number, *cells, f"{dice.randrange(500, 90000) / 100:.2f}", dice.choice(NOTES)]


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("sample.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\r\n").writerows(rows())
