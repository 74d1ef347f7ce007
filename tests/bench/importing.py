"""Import of contacts by CSV files over HTTP: validated, de-duplicated against all that the account has, in the database
when the call answers. The peer does the least that this can mean: the same rows read, looked at and put into one table
with one unique index, by Python's sqlite3 or by PostgreSQL's COPY."""

import csv
import io
import itertools
import re
import sqlite3
import subprocess
import time

from api import contacts_csv

# Below the 32 MiB that a file may have.
ROWS_A_FILE = 400_000
ROWS_A_TRANSACTION = 5_000
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
TABLE = "CREATE TABLE contacts (email TEXT PRIMARY KEY, first_name TEXT, last_name TEXT, company TEXT)"


def files(rows):
    return [contacts_csv(begin, min(begin + ROWS_A_FILE, rows)) for begin in range(0, rows, ROWS_A_FILE)]


def seconds(api, texts):
    """How long the engine took; and the ids of the imports."""
    began = time.monotonic()
    ids = [api.import_csv(f"part-{number}", text)["id"] for number, text in enumerate(texts)]
    return time.monotonic() - began, ids


def seconds_of_sqlite(folder, texts):
    folder.mkdir()
    connection = sqlite3.connect(folder / "peer.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE + " WITHOUT ROWID")
    began = time.monotonic()
    for text in texts:
        rows = csv.reader(io.StringIO(text.decode()))
        next(rows)
        while chunk := list(itertools.islice(rows, ROWS_A_TRANSACTION)):
            good = [row for row in chunk if ADDRESS.fullmatch(row[0])]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO contacts VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", good)
            connection.execute("COMMIT")
    took = time.monotonic() - began
    connection.close()
    return took


def seconds_of_copy(postgres, database, texts):
    postgres.query(database, TABLE)
    began = time.monotonic()
    for text in texts:
        # psql reads the file's rows behind the statement on its input.
        script = (b"CREATE TEMPORARY TABLE part (LIKE contacts);\n\\copy part FROM STDIN WITH (FORMAT csv, HEADER)\n" + text
                  + b"\\.\nINSERT INTO contacts SELECT * FROM part WHERE email LIKE '%_@_%._%' ON CONFLICT DO NOTHING;\n")
        subprocess.run(postgres.psql(database), input=script, check=True, capture_output=True)
    return time.monotonic() - began
