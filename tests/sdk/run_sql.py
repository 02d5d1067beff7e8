"""Runs SQL with DuckDB: statements as a JSON array on standard input, the rows of each as a JSON array on standard output."""

import json
import sys

import duckdb

results = []
for statement in json.load(sys.stdin):
    cursor = duckdb.execute(statement)
    names = [column[0] for column in cursor.description]
    results.append([dict(zip(names, row)) for row in cursor.fetchall()])
json.dump(results, sys.stdout, default=str)
